"""Figures beyond their limits are flagged once, with what to do."""

import pytest

from workers.evaluation.flags import flags_of


@pytest.mark.parametrize(
    ("undecided", "abstained", "flagged"),
    [
        (0.5, 0.5, []),
        (0.85, 0.9, ["undecided_share"]),
        (0.2, 0.6, ["abstained_share"]),
    ],
)
def test_the_first_figure_beyond_its_limit_is_flagged(undecided: float, abstained: float, flagged: list[str]) -> None:
    found = flags_of({"undecided_share": undecided, "abstained_share": abstained})
    assert [flag["figure"] for flag in found] == flagged


def test_a_flag_says_how_much_the_limit_and_what_to_do() -> None:
    (flag,) = flags_of({"undecided_share": 0.85, "abstained_share": 0.85})
    assert (flag["value"], flag["limit"]) == (0.85, 0.5)
    assert "85% of the memos are undecided, more than 50%" in flag["meaning"]
    assert "train on more speakers" in flag["meaning"]

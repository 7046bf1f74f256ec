import pytest

from streams.history.live import LiveEvent, Position
from tests.history import NOW

NUMBERS = {("risk.alerts", 0): 12, ("risk.scored", 3): 77, ("memos.dead", 1): 5}


def test_a_position_is_short_text_and_back() -> None:
    position = Position(NUMBERS, 2)
    assert position.encode() == "2.d1-5.a0-12.s3-77"
    assert Position.decode(position.encode()) == position
    assert Position.decode("0") == Position({})


@pytest.mark.parametrize(
    "text",
    ["", "x", "0.", "0.s1", "0.s1-", "0.t1-2", "-1", "0.s1-2 ", "0.s1-2.", "٣", "0.s1-99999999999999999", "0." * 3000],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        Position.decode(text)


def test_a_position_after_an_event_knows_it() -> None:
    event = LiveEvent("risk.alerts", 0, 13, "anna", "", NOW, "raised", "id")
    assert Position(NUMBERS).after(event).numbers == {**NUMBERS, ("risk.alerts", 0): 13}

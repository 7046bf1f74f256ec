"""The page about Redis says of every key what an operator asks."""

from schemas.state_keys import STATE_KEYS
from schemas.state_page import state_page


def test_every_key_has_its_row() -> None:
    rows = [line for line in state_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [key.pattern for key in STATE_KEYS]


def test_the_loop_from_drift_to_fusion_is_named() -> None:
    (row,) = [line for line in state_page().splitlines() if line.startswith("| `drift:")]
    assert "fusion agent: whether an episode is open" in row


def test_personal_data_is_marked() -> None:
    rows = {line.split("`")[1]: line for line in state_page().splitlines() if line.startswith("| `")}
    assert "| yes |" in rows["drift:{<user_id>}"]
    assert "| no |" in rows["drift-pool"]

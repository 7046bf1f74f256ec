"""What is stored now, as JSON and in words."""

import json

from schemas.state_keys import BASELINE
from streams.views.export.state import history_json, state_json, state_lines
from tests.unit.streams.views.export.held import OTHER, held, known, nothing


def test_the_state_has_the_numbers_of_the_baseline_and_no_mute_of_others() -> None:
    found = state_json(held())
    assert found["baseline_numbers"] == {
        "bundle_id": "b", "count": [0.0] * 3, "mean": [0.0] * 3, "variance": [0.0] * 3
    }  # fmt: skip
    assert OTHER not in json.dumps(found)
    assert not {"scores", "dead_letters"} & found["now"].keys()  # type: ignore[union-attr]
    damaged = known(**{BASELINE.key(held().user_id): b"\xff"})
    assert state_json(held(known=damaged))["baseline_numbers"] is None
    assert state_json(nothing())["baseline_numbers"] is None


def test_words_say_what_the_database_has_or_that_there_is_none() -> None:
    assert dict(state_lines(held()))["database"] == "2 scores, 0 episodes, 1 actions of staff"
    assert "none" in dict(state_lines(nothing()))["database"]
    assert history_json(nothing()) is None
    assert "old" in json.dumps(history_json(held()))

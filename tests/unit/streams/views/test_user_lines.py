"""One user in words."""

from datetime import UTC, datetime, timedelta

from schemas.codec import Codec
from schemas.events import Modality
from schemas.state_keys import DRIFT, MUTES
from streams.drift.mutes import Mute, Scope, dump
from streams.drift.user_state import follow
from streams.views.user import Known, view_of
from streams.views.user_lines import lines_of
from tests.unit.schemas.records import AT, DEAD, UPLOADED
from tests.unit.streams.scores import RULES, calm, daily

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def said(known: Known) -> dict[str, str]:
    return dict(lines_of(view_of("u", known, (Modality.ACOUSTIC,), RULES, Codec(), NOW)))


def test_of_somebody_new_every_line_says_that_there_is_nothing() -> None:
    found = said(Known())
    assert (found["last memo"], found["muted"], found["awaited"], found["dead letters"]) == (
        "none", "no", "nothing", "none"
    )  # fmt: skip
    assert found["baseline"].startswith("none yet")


def test_scores_mutes_and_failures_are_said() -> None:
    mute = Mute(Scope.USER, "u", AT, NOW + timedelta(days=1), "on leave", by="ann")
    scores = daily(calm(30))
    state = {MUTES.key(): dump([mute], NOW), DRIFT.key("u"): follow(None, scores, RULES)[0]}
    found = said(Known(scores, [UPLOADED], [DEAD], state))
    assert found["scored"] == "30 memos"
    assert "user u until 2026-12-02 00:00 by ann: on leave" in found["muted"]
    assert found["awaited"] == "memo memo-1 of 2026-03-01 12:30: acoustic"
    assert found["dead letters"] == "1: 2026-03-01 12:30 audio:undecodable at acoustic"
    assert "30 days of baseline" in found["drift"]

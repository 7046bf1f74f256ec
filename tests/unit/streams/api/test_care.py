"""What follows from actions about mutes. The rest is in tests/unit/streams/api/routes/test_actions.py."""

from dataclasses import replace
from datetime import timedelta

from schemas.event_enums import CareActionKind
from streams.api.care import FOREVER, LONGEST_REASON, muted
from streams.drift.mutes import Mute, Scope
from tests.history import NOW, action

MUTED = action("anna", CareActionKind.MUTED, note="holidays", until=NOW + timedelta(days=3))
OTHERS = Mute(Scope.COHORT, "an", NOW, FOREVER)


def test_a_mute_is_added_once_and_replaces_the_one_before() -> None:
    once = muted([OTHERS], MUTED)
    (_, new) = once
    assert new == Mute(Scope.USER, "anna", NOW, NOW + timedelta(days=3), "holidays", by="dr-a")
    assert muted(once, MUTED) is once
    later = replace(MUTED, action_id="2", at=NOW + timedelta(days=1), until=None, note="a" * 1000)
    (_, first, second) = muted(once, later)
    assert (first.until, second.until, len(second.reason)) == (later.at, FOREVER, LONGEST_REASON)


def test_an_end_ends_only_what_it_names() -> None:
    end = action("anna", CareActionKind.UNMUTED)
    (others, mine) = muted(muted([OTHERS], MUTED), replace(end, at=NOW + timedelta(days=1)))
    assert (others, mine.until) == (OTHERS, NOW + timedelta(days=1))

"""The form of a context mark: what it makes, and what it refuses with words."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.event_enums import CareActionKind, MarkKind
from streams.web.person.context_form import MARK_KINDS, GivenMark, NotAMark, marking, unmarking

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
GIVEN = GivenMark.of(
    {
        "mark": "travel",
        "since": " 2026-03-01 ",
        "until": "2026-03-05",
        "note": "",
        "excluded": "yes",
        "action_id": "a-1",
    }
)


def test_both_days_belong_to_the_mark_in_the_zone_of_who_fills_it_in() -> None:
    action = marking(GIVEN, "u", "dr-a", BERLIN, NOW)
    assert action.since == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert action.until == datetime(2026, 3, 5, 23, tzinfo=UTC)
    assert (action.action_id, action.user_id, action.actor, action.at) == ("a-1", "u", "dr-a", NOW)
    assert (action.action, action.mark, action.excluded, action.note) == (
        CareActionKind.MARKED,
        MarkKind.TRAVEL,
        True,
        None,
    )


def test_without_a_last_day_it_still_holds() -> None:
    assert marking(replace(GIVEN, until=""), "u", "a", BERLIN, NOW).until is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mark": "unknown"}, "Choose"),
        ({"mark": "<script>"}, "Choose"),
        ({"since": ""}, "first day"),
        ({"since": "0001-01-01"}, "first day"),
        ({"until": "9999-12-31"}, "first day"),
        ({"since": "2026-03-06"}, "exchange"),
        ({"since": "2026-04-01", "until": ""}, "future"),
        ({"note": "x" * 501}, "shorten"),
        ({"action_id": ""}, "load the page again"),
        ({"action_id": "x" * 65}, "load the page again"),
    ],
)
def test_what_cannot_be_taken_says_what_to_do(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAMark, match=words):
        marking(replace(GIVEN, **change), "u", "a", BERLIN, NOW)


def test_a_mark_is_taken_back_by_its_id() -> None:
    action = unmarking("a-1", "a-2", "u", "dr-a", NOW)
    assert (action.action, action.mark_id, action.action_id) == (CareActionKind.UNMARKED, "a-1", "a-2")
    for mark_id, action_id in (("", "a"), ("m", "")):
        with pytest.raises(NotAMark):
            unmarking(mark_id, action_id, "u", "a", NOW)


def test_what_a_newer_version_knows_cannot_be_chosen() -> None:
    assert MarkKind.UNKNOWN not in MARK_KINDS
    assert len(MARK_KINDS) == len(MarkKind) - 1

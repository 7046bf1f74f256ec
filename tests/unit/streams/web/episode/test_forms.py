"""Forms about an episode: what they ask for, and what is wrong with them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from schemas.codec import Codec
from schemas.event_enums import CareActionKind, CareOutcome
from schemas.events import CareAction
from streams.web.episode.forms import LONGEST_MUTE, LONGEST_NOTE, READERS, About, end_of_day, read
from streams.web.languages import languages

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ID = "0123456789abcdef" * 2
ABOUT = About("north-1", "key", "dr-a", NOW, ZoneInfo("Europe/Berlin"), languages()["en"])
WHOLE = {
    CareActionKind.ACKNOWLEDGED: {"outcome": "contacted", "note": "called"},
    CareActionKind.HANDED_OVER: {"assignee": "dr-b"},
    CareActionKind.NOTED: {"note": "line\r\nline"},
    CareActionKind.MUTED: {"until": "2026-03-31", "note": "a journey"},
    CareActionKind.UNMUTED: {},
}


def sent(kind: object, **fields: str) -> dict[str, str]:
    return {"action": str(kind), "action_id": ID, **fields}


@pytest.mark.parametrize("kind", READERS)
def test_a_whole_form_is_an_action_that_a_record_can_carry(kind: CareActionKind) -> None:
    action = read(sent(kind, **WHOLE[kind]), ABOUT).action
    assert action is not None
    assert (action.action_id, action.action, action.user_id, action.dedup_key) == (ID, kind, "north-1", "key")
    assert (action.actor, action.at) == ("dr-a", NOW)
    codec = Codec()
    assert codec.decode(codec.encode(action), CareAction) == action


def test_fields_become_what_they_mean() -> None:
    acknowledged = read(sent("acknowledged", outcome="false_alarm"), ABOUT).action
    muted = read(sent("muted", **WHOLE[CareActionKind.MUTED]), ABOUT).action
    assert acknowledged is not None
    assert (acknowledged.outcome, acknowledged.note) == (CareOutcome.FALSE_ALARM, None)
    assert muted is not None
    assert (muted.since, muted.until) == (NOW, datetime(2026, 3, 31, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "fields", "wrong"),
    [
        ("acknowledged", {}, {"outcome"}),
        ("acknowledged", {"outcome": "unknown"}, {"outcome"}),
        ("acknowledged", {"outcome": "contacted", "note": "x" * (LONGEST_NOTE + 1)}, {"note"}),
        ("acknowledged", {"note": "x" * (LONGEST_NOTE + 1)}, {"outcome", "note"}),
        ("acknowledged", {"outcome": "contacted", "note": "\ud800"}, {"note"}),
        ("handed_over", {"assignee": "  "}, {"assignee"}),
        ("handed_over", {"assignee": "ä" * 65}, {"assignee"}),
        ("handed_over", {"assignee": "a\u202eb"}, {"assignee"}),
        ("noted", {"note": " \n"}, {"note"}),
        ("muted", {}, {"until", "note"}),
        ("muted", {"until": "soon", "note": "x"}, {"until"}),
        ("muted", {"until": "2026-03-01", "note": "x"}, {"until"}),
        ("muted", {"until": "2027-04-01", "note": "x"}, {"until"}),
        ("muted", {"until": "9999-12-31", "note": "x"}, {"until"}),
        ("marked", {}, {"action"}),
        ("", {}, {"action"}),
    ],
)
def test_what_is_wrong_is_said_by_field_and_what_was_written_is_kept(
    kind: str, fields: dict[str, str], wrong: set[str]
) -> None:
    back = read(sent(kind, **fields), ABOUT)
    assert back.action is None
    assert set(back.errors) == wrong
    assert all(back.errors.values())
    assert {name: back.values[name] for name in fields} == {name: text.strip() for name, text in fields.items()}


@pytest.mark.parametrize("action_id", ["", "x", ID.upper(), f"{ID}0"])
def test_an_id_that_the_page_did_not_make_is_refused(action_id: str) -> None:
    assert set(read(sent("unmuted") | {"action_id": action_id}, ABOUT).errors) == {"action"}


def test_today_can_be_muted_and_a_year_at_most() -> None:
    today, latest = NOW.date().isoformat(), (NOW + LONGEST_MUTE - timedelta(days=1)).date().isoformat()
    for day in (today, latest):
        assert read(sent("muted", until=day, note="x"), ABOUT).action is not None


def test_errors_are_in_the_viewers_language() -> None:
    german = replace(ABOUT, language=languages()["de"])
    assert read(sent("noted"), german).errors == {"note": "Schreiben Sie die Notiz."}


def test_a_day_ends_at_midnight_of_the_zone() -> None:
    assert end_of_day("2026-01-01", ZoneInfo("Asia/Tokyo")) == datetime(2026, 1, 1, 15, tzinfo=UTC)
    assert end_of_day("9999-12-31", ZoneInfo("UTC")) is None

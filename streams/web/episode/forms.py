"""What somebody wants to do about an episode, as the forms of its page send it. Pure.

Every form carries an `action_id` that was made with the page: the same form that is sent twice is one action.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.event_enums import CareActionKind, CareOutcome
from schemas.events import CareAction
from schemas.limit_types import utf8_length
from streams.web.languages import Language

LONGEST_NOTE = 1000
"""Characters of a note or a reason: at most 4,000 bytes."""
LONGEST_NAME = 128
"""Bytes of the subject of a colleague."""
LONGEST_MUTE = timedelta(days=366)
OUTCOMES = (CareOutcome.CONTACTED, CareOutcome.KNOWN_EVENT, CareOutcome.FALSE_ALARM, CareOutcome.NO_ACTION)
"""What an acknowledgement may say, in the order of the form."""

_ACTION_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Sent:
    """A form as it was sent.

    kind: which form, None for one that the page does not have; values: its fields; errors: sentences by field; action:
    what it asks for, None with errors.
    """

    kind: CareActionKind | None
    values: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)
    action: CareAction | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a form is about, who sent it and when. zone: in which a day ends."""

    user_id: str
    dedup_key: str
    actor: str
    now: datetime
    zone: ZoneInfo
    language: Language


def read(values: Mapping[str, str], about: About) -> Sent:
    """The action that a form asks for, or what is wrong with its fields."""
    fields = {name: text.replace("\r\n", "\n").strip() for name, text in values.items()}
    kind = next((kind for kind in READERS if kind == fields.get("action")), None)
    if kind is None or not _ACTION_ID.fullmatch(fields.get("action_id", "")):
        return Sent(
            kind, fields, {"action": about.language.gettext("The form did not arrive whole: fill it in again.")}
        )
    action = CareAction(
        action_id=fields["action_id"],
        user_id=about.user_id,
        at=about.now,
        actor=about.actor,
        action=kind,
        dedup_key=about.dedup_key,
        note=fields.get("note") or None,
    )
    action, errors = READERS[kind](action, fields, about)
    if fault := _note_fault(fields.get("note", ""), about.language):
        errors["note"] = fault
    return Sent(kind, fields, errors, None if errors else action)


Read = tuple[CareAction, dict[str, str]]


def _acknowledged(action: CareAction, fields: Mapping[str, str], about: About) -> Read:
    outcome = next((each for each in OUTCOMES if each == fields.get("outcome")), None)
    if outcome is None:
        return action, {"outcome": about.language.gettext("Choose what you found.")}
    return replace(action, outcome=outcome), {}


def _handed_over(action: CareAction, fields: Mapping[str, str], about: About) -> Read:
    name = fields.get("assignee", "")
    if not name:
        return action, {"assignee": about.language.gettext("Write who takes over.")}
    if not name.isprintable() or not 0 < utf8_length(name) <= LONGEST_NAME:
        return action, {"assignee": about.language.gettext("Write one name of at most 128 characters.")}
    return replace(action, assignee=name), {}


def _noted(action: CareAction, fields: Mapping[str, str], about: About) -> Read:
    return action, {} if fields.get("note") else {"note": about.language.gettext("Write the note.")}


def _muted(action: CareAction, fields: Mapping[str, str], about: About) -> Read:
    errors, until = dict[str, str](), end_of_day(fields.get("until", ""), about.zone)
    if until is None:
        errors["until"] = about.language.gettext("Choose a day, such as 2026-03-31.")
    elif not about.now < until <= about.now + LONGEST_MUTE:
        errors["until"] = about.language.gettext("Choose a day from today on, within a year.")
    if not fields.get("note"):
        errors["note"] = about.language.gettext("Write why: others will ask.")
    return replace(action, since=about.now, until=until), errors


def _unmuted(action: CareAction, fields: Mapping[str, str], about: About) -> Read:
    return action, {}


READERS = {
    CareActionKind.ACKNOWLEDGED: _acknowledged,
    CareActionKind.HANDED_OVER: _handed_over,
    CareActionKind.NOTED: _noted,
    CareActionKind.MUTED: _muted,
    CareActionKind.UNMUTED: _unmuted,
}
"""The forms of the page, each with the reader of its own fields."""


def end_of_day(text: str, zone: ZoneInfo) -> datetime | None:
    """The moment at which a day ends in a time zone; None for what is no day.

    >>> end_of_day("2026-03-29", ZoneInfo("Europe/Berlin")).isoformat()
    '2026-03-29T22:00:00+00:00'
    """
    try:
        following = date.fromisoformat(text) + timedelta(days=1)
        return datetime.combine(following, time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _note_fault(note: str, language: Language) -> str:
    if len(note) > LONGEST_NOTE:
        return language.gettext("Shorten this to 1,000 characters.")
    return "" if utf8_length(note) >= 0 else language.gettext("Some characters of this cannot be stored.")

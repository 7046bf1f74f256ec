"""The form by which somebody says what else explains a change, and what it asks for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.event_enums import CareActionKind, MarkKind
from schemas.events import CareAction

_ = str  # marks messages; they are translated where they are shown

MARK_KINDS = tuple(kind for kind in MarkKind if kind is not MarkKind.UNKNOWN)
LONGEST_NOTE = 500
LONGEST_ID = 64


class NotAMark(ValueError):
    """The form cannot be taken; the text is a message that says what to do."""


@dataclass(frozen=True, slots=True)
class GivenMark:
    """The fields of the form as they were filled in; shown again when one is wrong."""

    mark: str = MarkKind.MEDICATION
    since: str = ""
    until: str = ""
    note: str = ""
    excluded: bool = False
    action_id: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> "GivenMark":
        """From the fields of a form; what is absent is empty."""
        text = {name: str(fields.get(name, "")).strip() for name in ("mark", "since", "until", "note", "action_id")}
        return cls(**text, excluded=fields.get("excluded") == "yes")


def marking(given: GivenMark, user_id: str, actor: str, zone: ZoneInfo, now: datetime) -> CareAction:
    """The action that the form asks for. zone: whose days are meant; both days belong to the mark. Raises NotAMark."""
    if given.mark not in MARK_KINDS:
        raise NotAMark(_("Choose what it is."))
    if not 0 < len(given.action_id) <= LONGEST_ID:
        raise NotAMark(_("This form is incomplete: load the page again."))
    if len(given.note) > LONGEST_NOTE:
        raise NotAMark(_("The note is too long: shorten it to 500 characters."))
    since, until = _day(given.since), _day(given.until) if given.until else None
    if until is not None and until < since:
        raise NotAMark(_("The last day is before the first: exchange them."))
    begins = datetime.combine(since, time(), zone)
    if begins > now:
        raise NotAMark(_("The first day is in the future: context can be added from that day on."))
    return CareAction(
        action_id=given.action_id,
        user_id=user_id,
        at=now,
        actor=actor,
        action=CareActionKind.MARKED,
        note=given.note or None,
        since=begins,
        until=None if until is None else datetime.combine(until + timedelta(days=1), time(), zone),
        mark=MarkKind(given.mark),
        excluded=given.excluded,
    )


def unmarking(mark_id: str, action_id: str, user_id: str, actor: str, now: datetime) -> CareAction:
    """The action that takes a mark back. Raises NotAMark."""
    if not (0 < len(mark_id) <= LONGEST_ID and 0 < len(action_id) <= LONGEST_ID):
        raise NotAMark(_("This form is incomplete: load the page again."))
    return CareAction(action_id, user_id, now, actor, CareActionKind.UNMARKED, mark_id=mark_id)


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise NotAMark(_("Give the first day, and a last one if it is over, such as 2026-03-01.")) from None
    if not date(1970, 1, 2) <= found <= date(9998, 12, 31):
        raise NotAMark(_("Give the first day, and a last one if it is over, such as 2026-03-01."))
    return found

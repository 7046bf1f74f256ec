"""What happened in an episode, in order: steps of the system and what people did, in words of one language. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.event_enums import CareActionKind, CareOutcome
from schemas.events import AlertState, CareAction, RiskAlert
from streams.web.episode.sentences import step_words
from streams.web.languages import Language, gettext_noop


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. who: None for the system itself; until: of a mute; id: of the action, empty for a step."""

    at: datetime
    who: str | None
    what: str
    note: str = ""
    until: datetime | None = None
    id: str = ""


STATES = {
    AlertState.RAISED: gettext_noop("Raised"),
    AlertState.ESCALATED: gettext_noop("Escalated"),
    AlertState.RESOLVED: gettext_noop("Over"),
}
OUTCOMES = {
    CareOutcome.CONTACTED: gettext_noop("The person was contacted"),
    CareOutcome.KNOWN_EVENT: gettext_noop("A known event explains it"),
    CareOutcome.FALSE_ALARM: gettext_noop("False alarm: nothing has changed"),
    CareOutcome.NO_ACTION: gettext_noop("Real, but no action is needed now"),
    CareOutcome.UNKNOWN: gettext_noop("An outcome of a newer Undertone"),
}
DONE = {
    CareActionKind.NOTED: gettext_noop("Wrote a note"),
    CareActionKind.UNMUTED: gettext_noop("Ended the mute"),
    CareActionKind.MARKED: gettext_noop("Marked what may explain a change"),
    CareActionKind.UNMARKED: gettext_noop("Took a mark back"),
    CareActionKind.UNKNOWN: gettext_noop("Did something that a newer Undertone knows"),
}


def entries(steps: Iterable[RiskAlert], actions: Iterable[CareAction], language: Language) -> list[Entry]:
    """Steps and actions, oldest first; a step comes before an action of the same moment."""
    of_steps = [Entry(step.at, None, _step(step, language)) for step in steps]
    of_people = [_action(action, language) for action in actions]
    return sorted([*of_steps, *of_people], key=lambda entry: (entry.at, entry.who is not None, entry.id))


def _step(step: RiskAlert, language: Language) -> str:
    return f"{language.gettext(STATES[step.state])}: {step_words(step, language)}."


def _action(action: CareAction, language: Language) -> Entry:
    return Entry(
        action.at, action.actor, done_words(action, language), action.note or "", action.until, action.action_id
    )


def done_words(action: CareAction, language: Language) -> str:
    """What somebody did, as a sentence without a full stop."""
    match action.action:
        case CareActionKind.ACKNOWLEDGED:
            found = "" if action.outcome is None else f": {language.gettext(OUTCOMES[action.outcome])}"
            return language.gettext("Acknowledged") + found
        case CareActionKind.HANDED_OVER:
            return language.gettext("Handed over to %(name)s") % {"name": action.assignee or "?"}
        case CareActionKind.MUTED:
            return language.gettext("Muted the alerts of this person")
        case _:
            return language.gettext(DONE[action.action])

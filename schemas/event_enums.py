"""The closed sets of the records: every symbol with its meaning.

A set with `unknown` may grow: an older reader sees `unknown` where a newer writer uses a new symbol.
"""

from enum import StrEnum


class Modality(StrEnum):
    """A view of the voice that one worker extracts. A memo is scored when all configured ones are there."""

    ACOUSTIC = "acoustic"
    """openSMILE functionals, low-level descriptors and the markers of acoustic heaviness."""
    EMBEDDING = "embedding"
    """Wav2Vec 2.0 hidden states, averaged per window."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not."""


class Band(StrEnum):
    """What a score says, in words."""

    LOW = "low"
    """Below the bundle's undecided band."""
    HIGH = "high"
    """Above the bundle's undecided band."""
    INDETERMINATE = "indeterminate"
    """The system abstains; `RiskScored.reasons` says why."""


class AlertState(StrEnum):
    """State of an episode."""

    RAISED = "raised"
    """The first alert of an episode."""
    ESCALATED = "escalated"
    """The same episode, now critical."""
    RESOLVED = "resolved"
    """The same episode, over."""


class AlertKind(StrEnum):
    """Which rule raised the episode."""

    DRIFT = "drift"
    """The score moved away from the user's own past."""
    LEVEL = "level"
    """Most recent scores are in the high band."""
    SILENCE = "silence"
    """No memo for longer than this user's own habit."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not."""


class Severity(StrEnum):
    """How far the statistic is past its threshold."""

    WARNING = "warning"
    """Past the threshold."""
    CRITICAL = "critical"
    """Far past the threshold: the episode was escalated."""


class CareActionKind(StrEnum):
    """What somebody did about a user or an episode."""

    ACKNOWLEDGED = "acknowledged"
    """Looked at the episode, with an outcome."""
    HANDED_OVER = "handed_over"
    """Gave the episode to a colleague."""
    NOTED = "noted"
    """Wrote a note."""
    MUTED = "muted"
    """Suppressed the user's alerts until a time."""
    UNMUTED = "unmuted"
    """Ended that before its time."""
    MARKED = "marked"
    """Said what else explains a change, and from when until when."""
    UNMARKED = "unmarked"
    """Took such a mark back."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not."""


class ConsentState(StrEnum):
    """What a person, or somebody for them, last said to being listened to."""

    GIVEN = "given"
    """Memos are read."""
    PAUSED = "paused"
    """No memo is read until it is given again."""
    WITHDRAWN = "withdrawn"
    """No memo is read any more; the person may be erased."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not: no memo is read."""


class CareOutcome(StrEnum):
    """What somebody who looked at an episode found."""

    CONTACTED = "contacted"
    """The person was contacted."""
    KNOWN_EVENT = "known_event"
    """The change was known, and has a cause."""
    FALSE_ALARM = "false_alarm"
    """Nothing had changed."""
    NO_ACTION = "no_action"
    """The change is real and needs no action now."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not."""


class MarkKind(StrEnum):
    """What else explains a change of the voice."""

    MEDICATION = "medication"
    """Medication was started, changed or stopped."""
    ILLNESS = "illness"
    """A cold or another illness of the body."""
    TRAVEL = "travel"
    """Another place, room or time zone."""
    NEW_PHONE = "new_phone"
    """Another telephone or application."""
    OTHER = "other"
    """Anything else; the note says what."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not."""


class AuditAction(StrEnum):
    """What somebody did with people's data, or with the system."""

    VIEWED = "viewed"
    """Saw the data of one user."""
    LISTED = "listed"
    """Saw a list of users."""
    EXPORTED = "exported"
    """Took data out, as a file or to another system."""
    ACTED = "acted"
    """Changed something: acknowledged, muted, marked, redrove."""
    UPLOADED = "uploaded"
    """Sent a memo."""
    SIGNED_IN = "signed_in"
    """Began a session."""
    SIGNED_OUT = "signed_out"
    """Ended a session."""
    REFUSED = "refused"
    """Asked for something that the role does not allow; nothing was shown."""
    CONFIGURED = "configured"
    """Started a process, or changed keys, settings or the bundle that it runs with."""
    ERASED = "erased"
    """Erased a person, or a step of that."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not."""


class ActorProof(StrEnum):
    """What showed who an actor is."""

    OIDC = "oidc"
    """A token of the identity provider, by its subject."""
    CERTIFICATE = "certificate"
    """The client certificate that Kafka accepted, by its subject."""
    SASL = "sasl"
    """The user that Kafka accepted by a password or a token."""
    OS_USER = "os_user"
    """The user of the operating system that ran the process."""
    NONE = "none"
    """Nothing: somebody who is not signed in."""
    UNKNOWN = "unknown"
    """One that a newer writer knows and this reader does not, or one of before 0.6."""

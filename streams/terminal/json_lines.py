"""The JSON lines of commands: what each field holds. `docs/cli.md` and the type checker read them here.

Commands import this module for their types only. Times are RFC 3339 in UTC, numbers that are not finite are null, and
fields may be added, never removed or renamed.
"""

from typing import Literal, NotRequired

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict

from schemas.events import RiskScored
from streams.terminal.bundle_lines import VerifiedEquivalent
from streams.terminal.consent_lines import ConsentLine
from streams.terminal.erasure_lines import ErasedPerson, TrialLine
from streams.terminal.export_lines import ExportedPerson
from streams.terminal.history_lines import CohortMembers, Migrated, Rebuilt
from streams.terminal.key_lines import KeyGrant, KeysMade, KeysRotated, KeyStatus, MonthsDestroyed
from streams.terminal.transcript_lines import Transcribed, WordLine

__all__ = [
    "CohortMembers",
    "ConsentLine",
    "ErasedPerson",
    "ExportedPerson",
    "KeyGrant",
    "KeyStatus",
    "KeysMade",
    "KeysRotated",
    "Migrated",
    "MonthsDestroyed",
    "Rebuilt",
    "Transcribed",
    "TrialLine",
    "VerifiedEquivalent",
    "WordLine",
]


class Failed(TypedDict):
    """A file that could not be used."""

    path: str
    """The file."""
    error: str
    """Why, in one sentence."""


class Submitted(TypedDict):
    """A file that is submitted: its event is on `memos.uploaded`."""

    path: str
    """The file."""
    memo_id: str
    """Id of the memo: the same for the same file, user and time."""
    recorded_at: str
    """Time of recording."""


class FailedMemo(TypedDict):
    """The dead letter of a memo."""

    dead_letter_id: str
    """Id of the dead letter."""
    at: str
    """When it was written."""
    stage: str
    """The stage that wrote it."""
    reason: str
    """Reason code, such as `audio:undecodable`."""
    detail: str
    """The reason in one sentence."""


class Outcome(Submitted):
    """With `--wait`: a file, and what became of its memo. Without an outcome both fields are null."""

    score: RiskScored | None
    """Its score, as `undertone scores` prints it."""
    dead_letter: FailedMemo | None
    """Its dead letter."""


class Features(TypedDict):
    """A file whose features are extracted."""

    path: str
    """The file."""
    arrays: dict[str, list[int]]
    """Shapes of its arrays in the file of `--out`, by name."""


class Plotted(TypedDict):
    """A plot that is written."""

    plot: str
    """The file."""


class Trained(TypedDict):
    """A trained bundle. Metrics of each head, and of the `test` side, are further fields, as `evaluate` prints them."""

    bundle: str
    """Id of the bundle."""


class Evaluated(TypedDict):
    """Metrics of a bundle on labelled recordings. The other metrics are further fields; null where undefined."""

    bundle: str
    """Id of the bundle."""
    n: int
    """Memos."""
    speakers: int
    """Speakers."""
    positives: int
    """Memos with the label 1."""
    auc: float | None
    """Area under the ROC curve, abstentions included."""
    auc_ci: list[float | None]
    """Its 95 % interval, bootstrapped over speakers."""
    uar: float | None
    """Unweighted average recall at the bundle's threshold."""
    ece: float | None
    """Expected calibration error."""
    undecided_share: float
    """Share of memos whose probability is within the undecided band."""


class MuteLine(TypedDict):
    """One mute."""

    scope: Literal["user", "cohort"]
    """Whether `name` is a user's pseudonym or the prefix of a cohort's."""
    name: str
    """The pseudonym or prefix."""
    since: str
    """When it began."""
    until: str
    """When it ends or ended."""
    reason: str
    """Why, as whoever muted gave it."""
    withheld: int
    """Alerts that it suppressed so far."""
    by: str
    """Who muted; empty from older versions."""


class DeadLetterLine(FailedMemo):
    """One dead letter."""

    topic: str
    """Topic of the original record."""
    partition: int
    """Partition of the original record."""
    offset: int
    """Offset of the original record."""
    redriven: int
    """How often its record was redriven: before this dead letter, and since."""


class WholeDeadLetter(DeadLetterLine):
    """One dead letter with its original record, which may name a user."""

    history: list[object]
    """Earlier failures of the same record, oldest first."""
    headers: dict[str, str | None]
    """Headers of the original record; bytes that are not text as hexadecimal digits."""
    key: str | None
    """Key of the original record."""
    bytes: int | None
    """Length of the original value; null without one."""
    record: object
    """The original record; text or hexadecimal digits where it cannot be decoded."""
    value_hex: str | None
    """The original value as hexadecimal digits."""


class Redriven(TypedDict):
    """What `dead-letters redrive` does with one record, or with one dead letter that it refuses."""

    outcome: Literal["sent", "would_be_sent", "refused"]
    """`would_be_sent` with `--dry-run`."""
    dead_letter_ids: list[str]
    """Its dead letters: several stages may have written one each."""
    topic: str
    """Topic of the original record."""
    partition: int
    """Partition of the original record."""
    offset: int
    """Offset of the original record."""
    detail: str
    """Why it is refused, else empty."""


class Rescored(TypedDict):
    """What `rescore` did: numbers of memos."""

    dry_run: bool
    """Whether nothing was sent."""
    resubmitted: int
    """Resubmitted, or to be without `--dry-run`."""
    under_way: int
    """Left alone: a worker has yet to process their uploads."""
    gone: int
    """Cannot be scored: their uploads are no longer on the topic."""


class DriftPlot(TypedDict):
    """A plot of a user's history."""

    plot: str
    """The file."""
    memos: int
    """Memos that it shows."""
    judged: dict[str, int]
    """Memos by whether they were judged: `scored`, or why not."""
    silence: str
    """What the user's missing scores mean, in one sentence; empty when none are missing."""
    state: str
    """The user's state in Redis in one sentence; empty for scores from a file."""


class CheckResult(TypedDict):
    """What one check of `doctor` found."""

    check: str
    """Name of the check."""
    status: Literal["ok", "skipped", "warning", "failed"]
    """`skipped` when it could not be judged: not configured, not permitted, or another check comes first."""
    text: str
    """What was found, in one sentence, without secrets."""
    fix: str
    """What to do; empty where there is nothing to do."""
    seconds: float
    """How long it took."""


class CreatedTopic(TypedDict):
    """One topic."""

    topic: str
    """Name of the topic."""
    created: bool
    """Whether it is new; otherwise it existed and is as it was."""


class RegisteredSubject(TypedDict):
    """One subject of the schema registry."""

    subject: str
    """Name of the subject."""
    schema_id: int
    """Id of its schema."""


class SchemaVersion(TypedDict):
    """One released version of a record's Avro schema."""

    topic: str
    """Topic of the records."""
    record: str
    """Name of the record."""
    version: int
    """Number of the version."""
    file: str
    """The schema, in `schemas/avro` or `schemas/avro/history`."""
    first_release: str
    """First release that writes it."""
    fingerprint: str
    """CRC-64-AVRO as in the frame: 8 bytes, little-endian, in hexadecimal digits."""
    integer: int
    """The same as an unsigned integer."""
    java_long: int
    """The same as a signed integer."""


class TopicState(TypedDict):
    """One topic as the broker has it. A number that the broker cannot report yet is a text that says why."""

    topic: str
    """Name of the topic."""
    retention_s: float
    """Retention in seconds."""
    partitions: int | str
    """Number of partitions."""
    records: int | str
    """Number of records."""
    lag: dict[str, int | str]
    """Consumer lag in records, by consumer group."""
    meaning: str
    """What the topic holds."""


class Scored(TypedDict):
    """A scored file."""

    path: str
    """The file."""
    probability: float | None
    """Calibrated probability; null where the bundle abstains from one."""
    band: Literal["low", "high", "indeterminate"]
    """The score in a word."""
    reasons: list[str]
    """Why it is indeterminate."""
    evidence: list[dict[str, object]]
    """Markers with `name`, `value`, `deviation_sd` and `contribution` to the logit, the most important first."""
    markers: dict[str, float | None] | None
    """Acoustic markers by name; null for undefined ones, and without the acoustic modality."""
    undefined: list[str]
    """Undefined features, as `name:reason`."""
    fragile: list[str]
    """Markers that the recording may have moved."""
    channel: str
    """Channels that were measured, and why."""
    duration_s: float
    """Length of the measured part in seconds."""
    bundle: str
    """Id of the bundle."""
    baseline_memos: NotRequired[int]
    """With `--one-person`: memos of the person's baseline so far."""

"""The records that travel between processes.

Frozen and slotted; every time is an aware UTC `datetime` with millisecond resolution on the wire; closed sets are
enums. The Avro schemas in `schemas/avro` say the same for other languages; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from schemas.care_events import AuditEvent, CareAction, Consent
from schemas.event_enums import AlertKind, AlertState, Band, ConsentState, Modality, Severity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[np.float32]


def __getattr__(name: str) -> object:
    """FloatArray, made when it is asked for: the help of a command names records and loads no NumPy."""
    if name != "FloatArray":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from numpy import float32
    from numpy.typing import NDArray

    return NDArray[float32]


@dataclass(frozen=True, slots=True)
class MemoUploaded:
    """A memo is ready to be read: the URI of its audio, never the audio itself.

    user_id: a pseudonym already; sha256: hex digest of the audio bytes, checked when given; language: BCP 47.
    """

    memo_id: str
    user_id: str
    recorded_at: datetime
    uploaded_at: datetime
    audio_uri: str
    sha256: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Extractor:
    """What made the features; scoring rejects any that its bundle was not trained on.

    weights_hash: SHA-256 (hex) of what determines the numbers: weights, or the openSMILE configuration.
    """

    name: str
    version: str
    weights_hash: str

    @property
    def label(self) -> str:
        """Name, version and the beginning of the digest, for messages."""
        return f"{self.name} {self.version} ({self.weights_hash[:8]})"


@dataclass(frozen=True, slots=True)
class Quality:
    """How much of the memo can be trusted.

    speech_s: seconds of speech; snr_db: speech level over noise floor (dB); clipped: share of samples at full scale,
    0 to 1; bandwidth_hz: highest frequency that carries signal; reasons: why the memo is not usable, empty when it is;
    fragile: acoustic markers that this recording may have moved by more than one speaker differs from another. They are
    still measured: a user who always calls from the same telephone can be compared with themselves. channel: numbers of
    the channels measured, from 1, `-` before one of opposite sign, and why: `1` of a mono file, `1+2:one_signal`,
    `1-2:one_signal`, `2:only_speech`, `2:best_speech`, `2:most_speech`, `1+2:no_speech`; empty from older workers.
    """

    speech_s: float
    snr_db: float
    clipped: float
    bandwidth_hz: float
    reasons: tuple[str, ...] = ()
    fragile: tuple[str, ...] = ()
    channel: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class MemoFeatures:
    """One modality of one memo.

    duration_s: length of the memo; window_s: nominal window length; windows: (n, d_window) float32; summary: (d,)
    float32; both NaN where a feature is undefined; names: of `summary`, empty for embeddings, whose coordinates have
    none; undefined: `feature:reason` for every NaN in `summary`.
    Raises ValueError for arrays of other dimensions, and for names that are not as many as the features.
    """

    memo_id: str
    user_id: str
    recorded_at: datetime
    uploaded_at: datetime
    modality: Modality
    extractor: Extractor
    duration_s: float
    window_s: float
    windows: "FloatArray"
    summary: "FloatArray"
    names: tuple[str, ...]
    quality: Quality
    undefined: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError when arrays and names do not have the shapes above."""
        if self.windows.ndim != 2 or self.summary.ndim != 1:
            raise ValueError(f"windows {self.windows.shape} and summary {self.summary.shape}: (n, d) and (d,) expected")
        if self.names and len(self.names) != len(self.summary):
            raise ValueError(f"{len(self.names)} names for {len(self.summary)} features")

    def __eq__(self, other: object) -> bool:
        """Field by field, arrays by shape and value, NaN equal to NaN."""
        if not isinstance(other, MemoFeatures):
            return NotImplemented
        from numpy import array_equal, ndarray

        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(array_equal(a, b, equal_nan=True) if isinstance(a, ndarray) else a == b for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One marker that moved the score.

    value: in the marker's own unit; deviation_sd: distance from the user's own baseline, in standard deviations of it;
    fragile: the recording's noise or narrow band may have moved it, rather than the speaker; contribution: what it adds
    to the score's logit before calibration, compared with a memo as usual; above 0 it raises the probability, since
    calibration is increasing; None in scores of writers before version 3 of the schema. usual: the user's own normal,
    in the marker's unit; None in scores of writers before version 4, and for a user without a baseline.
    """

    name: str
    value: float
    deviation_sd: float
    fragile: bool = False
    contribution: float | None = None
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class RiskScored:
    """A calibrated score of one memo, or why there is none.

    probability: calibrated, 0 to 1, None when nothing could be computed; reasons: why the band is indeterminate;
    evidence: largest contribution first, fragile markers after the others; bundle_id: the model that scored, `demo-…`
    for the shipped demonstration.
    """

    score_id: str
    memo_id: str
    user_id: str
    recorded_at: datetime
    uploaded_at: datetime
    scored_at: datetime
    probability: float | None
    band: Band
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    modalities: tuple[Modality, ...]
    bundle_id: str


@dataclass(frozen=True, slots=True)
class BaselineSummary:
    """The user's own normal, on the logit scale: memos, mean, standard deviation."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class RecentSummary:
    """The memos since the change, on the logit scale: memos, mean."""

    n: int
    mean: float


@dataclass(frozen=True, slots=True)
class AlertEvidence:
    """One marker over the memos of an episode, as means.

    value and usual: of these memos, and the user's own normal, in the marker's unit; deviation_sd: distance between
    them in the user's own standard deviations, above 0 for more than usual; fragile: as in Evidence, of most of the
    memos; contribution: as in Evidence. usual and contribution are None where no memo says them.
    """

    name: str
    value: float
    usual: float | None
    deviation_sd: float
    fragile: bool = False
    contribution: float | None = None


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """The score of one memo in a series. probability: calibrated, 0 to 1, None when nothing could be computed."""

    recorded_at: datetime
    probability: float | None
    band: Band


@dataclass(frozen=True, slots=True)
class RiskAlert:
    """One step of an episode. `dedup_key` is the same for all steps of it; `alert_id` is the step's own.

    statistic and threshold: of the rule that fired, same unit; since: estimated start of the change; at: when the memo
    that caused this step was recorded; memo_id: that memo. A silence is in days since its memo, the last one. evidence:
    strongest first, fragile markers after the others; scores: of the latest memos, oldest first; summary: one sentence
    for people. All three are empty in alerts of writers before version 2 of the schema.
    """

    alert_id: str
    dedup_key: str
    user_id: str
    state: AlertState
    kind: AlertKind
    severity: Severity
    statistic: float
    threshold: float
    baseline: BaselineSummary
    recent: RecentSummary
    since: datetime
    at: datetime
    memo_id: str
    bundle_id: str
    evidence: tuple[AlertEvidence, ...] = ()
    scores: tuple[ScorePoint, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that failed permanently: its original bytes, where they came from, and why.

    reason: a short code; detail: one sentence for an operator, free of ids, paths and content; headers: as they came.
    What is too large to be kept is left out, and headers say so: `schemas/trimmed_letters.py`.
    """

    dead_letter_id: str
    stage: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    reason: str
    detail: str
    at: datetime


Record: TypeAlias = (
    MemoUploaded | MemoFeatures | RiskScored | RiskAlert | DeadLetter | CareAction | Consent | AuditEvent
)

RECORDS: tuple[type[Any], ...] = (
    MemoUploaded, MemoFeatures, RiskScored, RiskAlert, DeadLetter, CareAction, Consent, AuditEvent
)  # fmt: skip
"""In the order of the topics."""

# The sets belong to the records, and are imported with them.
__all__ = [
    "RECORDS",
    "AlertEvidence",
    "AlertKind",
    "AlertState",
    "AuditEvent",
    "Band",
    "BaselineSummary",
    "CareAction",
    "Consent",
    "ConsentState",
    "DeadLetter",
    "Evidence",
    "Extractor",
    "FloatArray",
    "MemoFeatures",
    "MemoUploaded",
    "Modality",
    "Quality",
    "RecentSummary",
    "Record",
    "RiskAlert",
    "RiskScored",
    "ScorePoint",
    "Severity",
]  # fmt: skip

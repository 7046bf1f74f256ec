"""What each memo contributes to a plot of scores: a score, or the reason why there is none. Pure."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from schemas.events import Band, DeadLetter, MemoFeatures, MemoUploaded, RiskScored
from schemas.reasons import MISSING
from streams.drift.replay import Line


class Judged(StrEnum):
    """Whether a memo was judged, and why not. The values are for people."""

    SCORED = "scored"
    """It has a probability outside of the undecided band."""
    UNDECIDED = "undecided"
    """The score abstains although the memo was usable."""
    UNUSABLE = "unusable recording"
    """Its quality, or too few defined features, did not allow for a score."""
    INCOMPLETE = "modality missing"
    """A modality did not come in time."""
    LEFT_OUT = "left out of drift"
    """It has a score that drift detection skipped, such as one that came too late."""
    FAILED = "dead letter"
    """It became a dead letter: there is no score at all."""


class Mark(NamedTuple):
    """One memo. probability: None where nothing could be computed; reasons: of an abstention or a dead letter."""

    memo_id: str
    recorded_at: datetime
    probability: float | None
    judged: Judged
    reasons: tuple[str, ...] = ()


def mark_of(score: RiskScored) -> Mark:
    """The mark of a score."""
    judged = judged_of(score.band, score.probability, score.reasons)
    return Mark(score.memo_id, score.recorded_at, score.probability, judged, score.reasons)


def mark_of_letter(memo: MemoUploaded | MemoFeatures | RiskScored, letter: DeadLetter) -> Mark:
    """The mark of a memo whose record became a dead letter."""
    return Mark(memo.memo_id, memo.recorded_at, None, Judged.FAILED, (letter.reason,))


def mark_of_line(text: str | bytes, line: Line) -> Mark:
    """The mark of a line of JSON that was parsed as a score; `reasons` are shown where it has them."""
    fields = json.loads(text)
    reasons: tuple[str, ...] = ()
    with suppress(TypeError):
        reasons = tuple(str(reason) for reason in fields.get("reasons", ()))
    probability = fields["probability"]
    judged = judged_of(line.observation.band, probability, reasons)
    return Mark(line.memo_id, line.observation.recorded_at, probability, judged, reasons)


def judged_of(band: Band, probability: float | None, reasons: Sequence[str]) -> Judged:
    """How a score was judged, by its band and its reasons.

    >>> judged_of(Band.INDETERMINATE, None, ["quality:noisy"]).value
    'unusable recording'
    """
    if band is not Band.INDETERMINATE and probability is not None:
        return Judged.SCORED
    if any(reason.startswith(MISSING) for reason in reasons):
        return Judged.INCOMPLETE
    if any(reason.startswith(("quality:", "features:")) for reason in reasons):
        return Judged.UNUSABLE
    return Judged.UNDECIDED if probability is not None or not reasons else Judged.UNUSABLE


def latest_marks(marks: Iterable[Mark]) -> list[Mark]:
    """One mark of each memo, the last one given, by time of recording: a score may be revised."""
    last = {mark.memo_id: mark for mark in marks}
    return sorted(last.values(), key=lambda mark: (mark.recorded_at, mark.memo_id))


class Silence(NamedTuple):
    """Memos that were not judged. most: how many of them are for `reason`, the most frequent one."""

    memos: int
    of: int
    reason: str
    most: int


def silence_of(marks: Sequence[Mark]) -> Silence | None:
    """How many memos were not judged, and mostly why; None when all were."""
    silent = [mark for mark in marks if mark.judged is not Judged.SCORED]
    if not silent:
        return None
    reasons = Counter(mark.reasons[0] if mark.reasons else mark.judged.value for mark in silent)
    ((reason, most),) = reasons.most_common(1)
    return Silence(len(silent), len(marks), reason, most)


def silence_sentence(marks: Sequence[Mark]) -> str:
    """The same in a sentence; empty when all were judged.

    >>> silence_sentence([])
    ''
    """
    if (silence := silence_of(marks)) is None:
        return ""
    memos, of, reason, most = silence
    return f"{memos} of {of} memos were not judged, most of them ({most}) for: {reason}"

"""Records of every kind, by hand and by hypothesis."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.events import (
    AlertKind,
    AlertState,
    Band,
    BaselineSummary,
    DeadLetter,
    Evidence,
    Extractor,
    FloatArray,
    MemoFeatures,
    MemoUploaded,
    Modality,
    Quality,
    RecentSummary,
    Record,
    RiskAlert,
    RiskScored,
    Severity,
)

AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)

text = st.text(max_size=20)
numbers = st.floats(allow_nan=False)
counts = st.integers(0, 2**40)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=14))])
# Avro's timestamp-millis: what is finer than a millisecond does not travel.
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
texts = st.lists(text, max_size=3).map(tuple)


def arrays(*shape: int | st.SearchStrategy[int]) -> st.SearchStrategy[FloatArray]:
    sizes = [st.just(s) if isinstance(s, int) else s for s in shape]
    return st.tuples(*sizes).flatmap(
        lambda size: hnp.arrays(np.float32, size, elements=st.floats(width=32, allow_nan=True))
    )


@st.composite
def feature_records(draw: st.DrawFn) -> MemoFeatures:
    summary = draw(arrays(st.integers(0, 5)))
    names = draw(st.just(()) | st.tuples(*[text] * len(summary)))
    return MemoFeatures(
        draw(text),
        draw(text),
        draw(times),
        draw(times),
        draw(st.sampled_from(Modality)),
        draw(st.builds(Extractor, text, text, text)),
        draw(numbers),
        draw(numbers),
        draw(arrays(st.integers(0, 3), st.integers(0, 4))),
        summary,
        names,
        draw(st.builds(Quality, numbers, numbers, numbers, numbers, texts, texts)),
        draw(texts),
    )


features = feature_records()
uploads = st.builds(MemoUploaded, text, text, times, times, text, st.none() | text, st.none() | text)
scores = st.builds(
    RiskScored,
    text,
    text,
    text,
    times,
    times,
    times,
    st.none() | st.floats(0, 1),
    st.sampled_from(Band),
    texts,
    st.lists(st.builds(Evidence, text, numbers, numbers, st.booleans()), max_size=3).map(tuple),
    st.lists(st.sampled_from(Modality), max_size=2).map(tuple),
    text,
)
alerts = st.builds(
    RiskAlert,
    text,
    text,
    text,
    st.sampled_from(AlertState),
    st.sampled_from(AlertKind),
    st.sampled_from(Severity),
    numbers,
    numbers,
    st.builds(BaselineSummary, counts, numbers, numbers),
    st.builds(RecentSummary, counts, numbers),
    times,
    times,
    text,
    text,
)
dead_letters = st.builds(
    DeadLetter,
    text,
    text,
    text,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=50),
    st.dictionaries(text, st.binary(max_size=10), max_size=3),
    text,
    text,
    times,
)
records: st.SearchStrategy[Record] = st.one_of(uploads, features, scores, alerts, dead_letters)

UPLOADED = MemoUploaded("memo-1", "user-1", AT, AT + timedelta(minutes=1), "memory://memos/1.wav", "ab" * 32, "de")
FEATURES = MemoFeatures(
    "memo-1",
    "user-1",
    AT,
    AT + timedelta(minutes=1),
    Modality.ACOUSTIC,
    Extractor("opensmile", "3.0.1", "cd" * 32),
    32.0,
    15.0,
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array([1.5, np.nan], np.float32),
    ("jitter", "shimmer"),
    Quality(20.0, 20.0, 0.0, 8000.0, ("noisy",), ("hnr",)),
    ("shimmer:unvoiced",),
)
SCORED = RiskScored(
    "score-1",
    "memo-1",
    "user-1",
    AT,
    AT + timedelta(minutes=1),
    AT + timedelta(minutes=2),
    0.25,
    Band.LOW,
    (),
    (Evidence("pause_share", 0.4, 1.5), Evidence("hnr", 14.0, -2.5, fragile=True)),
    (Modality.ACOUSTIC, Modality.EMBEDDING),
    "demo-1",
)
ALERT = RiskAlert(
    "alert-1",
    "episode-1",
    "user-1",
    AlertState.RAISED,
    AlertKind.DRIFT,
    Severity.WARNING,
    6.5,
    6.0,
    BaselineSummary(60, -1.0, 0.5),
    RecentSummary(7, 0.25),
    AT - timedelta(days=7),
    AT,
    "memo-1",
    "demo-1",
)
DEAD = DeadLetter(
    "dead-1",
    "acoustic",
    "memos.uploaded",
    3,
    2**40,
    b"user-1",
    b"\x00not avro",
    {"ce_id": b"memo-1"},
    "audio:undecodable",
    "No decoder reads these bytes; ask for the original file.",
    AT,
)
EXAMPLES: tuple[Any, ...] = (UPLOADED, FEATURES, SCORED, ALERT, DEAD)

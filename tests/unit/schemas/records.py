"""Records of every kind, by hand and by hypothesis."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.care_events import AuditEvent, CareAction, Consent
from schemas.event_enums import ActorProof, AuditAction, CareActionKind, CareOutcome, ConsentState, MarkKind
from schemas.events import (
    AlertEvidence,
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
    ScorePoint,
    Severity,
)

AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)

text = st.text(max_size=20)
"""Any text that can be encoded, as in a URI or a detail."""
printable = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
ids = st.text(printable, max_size=32).map(lambda t: t.strip(" ") or "0")
codes = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
digests = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)
numbers = st.floats(-1e12, 1e12)
seconds = st.floats(0, 86400)
lengths = st.floats(0, 86400, exclude_min=True)
shares = st.floats(0, 1)
counts = st.integers(0, 2**40)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=14))])
# Avro's timestamp-millis: what is finer than a millisecond does not travel.
times = st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=zones).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
code_lists = st.lists(codes, max_size=3).map(tuple)


def arrays(*shape: st.SearchStrategy[int], allow_nan: bool) -> st.SearchStrategy[FloatArray]:
    elements = st.floats(width=32, allow_nan=allow_nan, allow_infinity=False)
    return st.tuples(*shape).flatmap(lambda size: hnp.arrays(np.float32, size, elements=elements))


@st.composite
def feature_records(draw: st.DrawFn) -> MemoFeatures:
    summary = draw(arrays(st.integers(0, 5), allow_nan=True))
    names = draw(st.just(()) | st.tuples(*[codes] * len(summary)))
    return MemoFeatures(
        draw(ids),
        draw(ids),
        draw(times),
        draw(times),
        draw(st.sampled_from(Modality)),
        draw(st.builds(Extractor, ids, ids, codes)),
        draw(lengths),
        draw(lengths),
        draw(arrays(st.integers(0, 3), st.integers(0, 4), allow_nan=False)),
        summary,
        names,
        draw(st.builds(Quality, seconds, st.floats(-1000, 1000), shares, st.floats(0, 1e7), code_lists, code_lists)),
        draw(code_lists),
    )


features = feature_records()
uploads = st.builds(
    MemoUploaded, ids, ids, times, times, text, st.none() | digests, st.none() | codes.map(lambda c: c[:64])
)
scores = st.builds(
    RiskScored,
    ids,
    ids,
    ids,
    times,
    times,
    times,
    st.none() | shares,
    st.sampled_from(Band),
    code_lists,
    st.lists(
        st.builds(Evidence, codes, numbers, numbers, st.booleans(), st.none() | numbers, st.none() | numbers),
        max_size=3,
    ).map(tuple),
    st.lists(st.sampled_from(Modality), max_size=2).map(tuple),
    ids,
)
alerts = st.builds(
    RiskAlert,
    ids,
    ids,
    ids,
    st.sampled_from(AlertState),
    st.sampled_from(AlertKind),
    st.sampled_from(Severity),
    numbers,
    numbers,
    st.builds(BaselineSummary, counts, numbers, st.floats(0, 1e12)),
    st.builds(RecentSummary, counts, numbers),
    times,
    times,
    ids,
    ids,
    st.lists(
        st.builds(AlertEvidence, codes, numbers, st.none() | numbers, numbers, st.booleans(), st.none() | numbers),
        max_size=3,
    ).map(tuple),
    st.lists(st.builds(ScorePoint, times, st.none() | shares, st.sampled_from(Band)), max_size=3).map(tuple),
    text,
)
dead_letters = st.builds(
    DeadLetter,
    ids,
    codes,
    codes,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=50),
    st.dictionaries(text, st.binary(max_size=10), max_size=3),
    codes,
    text,
    times,
)
actions = st.builds(
    CareAction,
    ids,
    ids,
    times,
    ids,
    st.sampled_from(CareActionKind),
    st.none() | ids,
    st.none() | st.sampled_from(CareOutcome),
    st.none() | text,
    st.none() | ids,
    st.none() | times,
    st.none() | times,
    st.none() | st.sampled_from(MarkKind),
    st.booleans(),
    st.none() | ids,
)
consents = st.builds(Consent, ids, ids, times, st.sampled_from(ConsentState), ids, st.none() | text)
audits = st.builds(
    AuditEvent,
    ids,
    times,
    ids,
    codes,
    st.sampled_from(AuditAction),
    codes,
    st.lists(ids, max_size=3).map(tuple),
    st.none() | text,
    st.booleans(),
    st.sampled_from(ActorProof),
    st.none() | ids,
    st.none() | codes,
    st.integers(0, 2**53 - 1),
    st.none() | st.just("ab" * 32),
    st.none() | st.just("cd" * 32),
    st.none() | codes,
)
records: st.SearchStrategy[Record] = st.one_of(
    uploads, features, scores, alerts, dead_letters, actions, consents, audits
)

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
    (Evidence("pause_share", 0.4, 1.5), Evidence("hnr", 14.0, -2.5, fragile=True, contribution=-0.25, usual=18.5)),
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
    (AlertEvidence("pause_share", 0.41, 0.22, 2.5, contribution=0.75), AlertEvidence("hnr", 14.0, None, -2.5, True)),
    (ScorePoint(AT - timedelta(days=1), None, Band.INDETERMINATE), ScorePoint(AT, 0.75, Band.HIGH)),
    "speaks with longer pauses than usual",
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
CARE = CareAction(
    "action-1",
    "user-1",
    AT,
    "clinician-1",
    CareActionKind.ACKNOWLEDGED,
    "episode-1",
    CareOutcome.CONTACTED,
    "called; <b>sleeps badly</b>",
)
MARK = CareAction(
    "action-2",
    "user-1",
    AT,
    "clinician-1",
    CareActionKind.MARKED,
    since=AT - timedelta(days=3),
    until=AT,
    mark=MarkKind.ILLNESS,
    excluded=True,
)
CONSENT = Consent("consent-1", "user-1", AT, ConsentState.PAUSED, "clinician-1", "asked on the phone")
AUDIT = AuditEvent("audit-1", AT, "clinician-1", "clinician", AuditAction.VIEWED, "person", ("user-1",), "on call")
EXAMPLES: tuple[Any, ...] = (UPLOADED, FEATURES, SCORED, ALERT, DEAD, CARE, CONSENT, AUDIT)

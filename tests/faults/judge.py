"""An independent judge: of what lies on the topics, what every memo came to. Pure, so that its mistakes can be tested.

It knows Avro's plain values only, as `reader.py` decodes them without the project's codec.
"""

import json
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

import schemas.avro

SCHEMAS = Path(schemas.avro.__file__).parent
SINGLE_OBJECT_HEADER = 10
"""Bytes before an Avro body: a magic number and the schema's fingerprint."""
Content = dict[str, Any]
MISSING = "missing:"
"""Start of the reason of a score that lacks a modality."""


@dataclass(slots=True)
class Seen:
    """Every record of a topic, in the order of its partitions."""

    uploaded: list[Content] = field(default_factory=list)
    scored: list[Content] = field(default_factory=list)
    alerts: list[Content] = field(default_factory=list)
    dead: list[Content] = field(default_factory=list)

    def finished(self) -> set[str]:
        """Memos that have a score or a dead letter."""
        return {score["memo_id"] for score in self.scored} | {_memo_of(letter) for letter in self.dead}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the memos. Each list holds memo, score or alert ids.

    lost: accepted, and neither scored nor a dead letter; several: with more than one score id, but for a score that
    lacked a modality and was replaced, or with a score and a dead letter; uninvited: scored, though nobody uploaded
    them; contradicting: ids under which two different contents were sent; wrong: scored, or alerted, otherwise than on
    the quiet day; repeated: records sent again unchanged, which at-least-once delivery allows.
    """

    accepted: int
    scored: int
    indeterminate: int
    dead: int
    alerts: int
    repeated: int
    lost: Collection[str] = ()
    several: Collection[str] = ()
    uninvited: Collection[str] = ()
    contradicting: Collection[str] = ()
    wrong: Collection[str] = ()

    @property
    def faults(self) -> dict[str, int]:
        """What must be nothing, counted."""
        names = ("lost", "several", "uninvited", "contradicting", "wrong")
        return {name: len(getattr(self, name)) for name in names}


def judge(seen: Seen, expected: Seen, accepted: Collection[str], apart: Collection[str] = ()) -> Verdict:
    """Count. expected: the same memos on a quiet day; accepted: memo ids that the broker acknowledged.

    apart: users whose scores are not compared with the quiet day's, only counted.
    """
    memos = {memo["memo_id"] for memo in seen.uploaded} | set(accepted)
    seen = replace(seen, scored=_replaced(seen.scored, {s["memo_id"]: s["score_id"] for s in expected.scored}))
    scores = _by(seen.scored, "memo_id")
    dead = {_memo_of(letter) for letter in seen.dead}
    first = {memo: versions[0] for memo, versions in scores.items()}
    alerts = {alert["alert_id"]: alert for alert in seen.alerts}
    return Verdict(
        accepted=len(memos),
        scored=len(scores),
        indeterminate=sum(score["band"] == "indeterminate" for score in first.values()),
        dead=len(dead),
        alerts=len(alerts),
        repeated=sum(len(records) - len(_by(records, key)) for records, key in _identified(seen)),
        lost=memos - set(scores) - dead,
        several=[m for m, all_of in scores.items() if len({s["score_id"] for s in all_of}) > 1 or m in dead],
        uninvited=(set(scores) | dead) - memos,
        contradicting=[name for records, key in _identified(seen) for name in _contradicting(records, key)],
        wrong=_wrong(_without(seen, apart), _without(expected, apart)),
    )


def _replaced(scored: Sequence[Content], quiet: Mapping[str, str]) -> list[Content]:
    """The scores that count: one that lacks a modality is replaced when that comes late, by a revision of its own id.

    quiet: score ids of the quiet day by memo, which revisions are compared under.
    """
    whole: dict[str, set[str]] = defaultdict(set)
    for score in scored:
        if not _provisional(score):
            whole[score["memo_id"]].add(score["score_id"])
    revised = {score["memo_id"] for score in scored if _provisional(score)} & whole.keys()
    kept = [score for score in scored if score["memo_id"] not in revised or not _provisional(score)]
    ids = {memo: quiet[memo] for memo in revised & quiet.keys() if len(whole[memo]) == 1}
    return [{**score, "score_id": ids.get(score["memo_id"], score["score_id"])} for score in kept]


def _provisional(score: Content) -> bool:
    return any(reason.startswith(MISSING) for reason in score.get("reasons", ()))


def _without(seen: Seen, users: Collection[str]) -> Seen:
    return Seen(
        scored=[score for score in seen.scored if score["user_id"] not in users],
        alerts=[alert for alert in seen.alerts if alert["user_id"] not in users],
        dead=seen.dead,
    )


def _identified(seen: Seen) -> Sequence[tuple[list[Content], str]]:
    return (seen.scored, "score_id"), (seen.alerts, "alert_id"), (seen.dead, "dead_letter_id")


def _by(records: Sequence[Content], key: str) -> Mapping[str, list[Content]]:
    found: dict[str, list[Content]] = defaultdict(list)
    for record in records:
        found[record[key]].append(record)
    return found


def _contradicting(records: Sequence[Content], key: str) -> list[str]:
    # A dead letter made again is the same but for the moment at which it was made.
    apart = {"at"} if key == "dead_letter_id" else set()
    known: dict[str, Content] = {}
    found = []
    for record in records:
        content = {name: value for name, value in record.items() if name not in apart}
        if known.setdefault(record[key], content) != content:
            found.append(record[key])
    return found


def _wrong(seen: Seen, expected: Seen) -> list[str]:
    """Scores, alerts and dead letters that differ from those of the quiet day, or are in one of the two alone."""
    wrong = []
    for (records, key), (others, _) in zip(_identified(seen), _identified(expected), strict=True):
        # Where a dead letter lies says which copy of an upload it is of: what it is of and why must be the same.
        name = _memo_of if key == "dead_letter_id" else lambda record, key=key: record[key]
        ours, theirs = {name(r): r for r in records}, {name(r): r for r in others}
        wrong += [
            f"{key}:{each}: {difference}"
            for each in sorted(ours.keys() | theirs.keys())
            if (difference := _difference(ours.get(each), theirs.get(each), key))
        ]
    return wrong


TIMES = frozenset({"scored_at", "at", "offset", "partition", "dead_letter_id", "headers"})
"""What may differ between two days: when a thing was done, and where in its topic it lay."""


def _difference(one: Content | None, other: Content | None, key: str) -> str:
    """What a record has otherwise than that of the quiet day, in words; empty where nothing differs."""
    if one is None or other is None:
        return "only on the quiet day" if one is None else "not on the quiet day"
    apart = TIMES if key != "alert_id" else frozenset()
    differing = [name for name in one if name not in apart and not _close(one[name], other[name])]
    return "; ".join(f"{name} {one[name]!r} instead of {other[name]!r}"[:400] for name in differing)


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return bool(one == other)


def _memo_of(letter: Content) -> str:
    """The memo that a dead letter of an upload is of."""
    schema = fastavro.parse_schema(json.loads((SCHEMAS / "memo_uploaded.avsc").read_text()))
    upload = fastavro.schemaless_reader(BytesIO(letter["value"][SINGLE_OBJECT_HEADER:]), schema, None)
    assert isinstance(upload, dict)
    return str(upload["memo_id"])

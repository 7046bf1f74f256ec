"""Poisons on the topics behind the workers: features, scores, alerts, dead letters."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.judge import Content
from tests.faults.poisons import avro
from tests.faults.poisons.poison import Kitchen, Letter, Nothing, Outcome, Poison, Scored, Sent, sent
from tests.faults.poisons.uploads import YEAR_MS

EVENT = Letter("event:.*")
NUMBERS = {"NaN": math.nan, "infinite": math.inf, "two": 2.0, "below nothing": -1.0}


def downstream(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    for topic in ("memos.features", "risk.scored"):
        yield from _garbage(topic, EVENT)
    for topic in ("risk.alerts", "memos.dead"):
        yield from _garbage(topic, Nothing())
    yield from _features()
    yield from _whole_memos()
    yield from _scores()
    yield from _alerts()
    yield from _letters(kitchen)


def _garbage(topic: str, allowed: Outcome) -> Iterator[Poison]:
    for name, value in {
        "tombstone": None,
        "text": b"{}",
        "another record": avro.framed("memo_uploaded", avro.upload("u", "m", "file:///x")),
        "cut": avro.framed(avro.KINDS[topic], _example(topic))[:20],
    }.items():
        yield Poison(f"{topic} {name}", (sent(topic, f"{topic} {name}", value, allowed),))


def _example(topic: str) -> Content:
    return {
        "memos.features": avro.features("u", "m"),
        "risk.scored": avro.score("u", "m"),
        "risk.alerts": avro.alert("u", "a"),
        "memos.dead": avro.letter("d", b""),
    }[topic]


def _features() -> Iterator[Poison]:
    shapes = {
        "fewer bytes than the shape": avro.array(b"\0" * 4, 2),
        "a negative shape": avro.array(b"\0" * 8, -1, -2),
        "a summary of two dimensions": avro.array(b"\0" * 8, 2, 1),
        "a shape of 200,000 ones": avro.array(b"\0" * 4, *[1] * 200_000),
        "a shape of 200,000 large numbers": avro.array(b"\0" * 4, *[2**31 - 1] * 200_000),
        "a shape without room": avro.array(b"", 2**31 - 1, 2**31 - 1, 0),
    }
    for name, summary in shapes.items():
        yield _one_of_features(name, summary=summary)
    yield _one_of_features("more names than features", names=["a", "b", "c"])


def _one_of_features(name: str, **changes: Any) -> Poison:
    content = avro.features(f"poison {name}", f"memo of {name}", **changes)
    return Poison(f"features {name}", (sent("memos.features", name, avro.framed("memo_features", content), EVENT),))


def _whole_memos() -> Iterator[Poison]:
    """Both parts of a memo, by the extractors of the bundle, and one thing wrong."""
    quality = avro.features("u", "m")["quality"]
    many = {**quality, "reasons": [f"reason-{number}" for number in range(100_000)]}
    rows: Mapping[str, dict[str, Any]] = {
        "100,000 reasons": {"quality": many},
        "100,000 reasons for undefined": {"undefined": [f"a:{number}" for number in range(100_000)]},
        "a quality of NaN": {"quality": {**quality, "snr_db": math.nan, "speech_s": math.nan}},
        "a length of NaN": {"duration_s": math.nan},
        "an infinite length": {"duration_s": math.inf},
        "infinite features": {"value": math.inf},
    }
    for name, changes in rows.items():
        yield Poison(f"memo with {name}", tuple(_parts(name, EVENT, changes)))
    scored: Mapping[str, dict[str, Any]] = {
        "a year of 2035": {"at_ms": avro.NOON_MS + 9 * YEAR_MS},
        "huge features": {"value": 3e38},
    }
    for name, changes in scored.items():
        yield Poison(f"memo with {name}", tuple(_parts(name, Scored(), changes)))


def _parts(name: str, outcome: Outcome, changes: Mapping[str, Any]) -> Iterator[Sent]:
    user, memo = f"poison {name}", f"memo of {name}"
    for part in avro.parts(user, memo, **changes):
        yield sent("memos.features", name, avro.framed("memo_features", part), outcome, memo=(user, memo))


def _scores() -> Iterator[Poison]:
    evidence = {"name": "pitch_median", "value": 1.0, "deviation_sd": 1.0, "fragile": False}
    years = {"9999": 7973.0, "1": -2025.0, "200 million": 2e8}
    for name, changes in {
        **{f"a probability that is {name}": {"probability": value} for name, value in NUMBERS.items()},
        "evidence of NaN": {"evidence": [{**evidence, "value": math.nan, "deviation_sd": math.inf}]},
        "a bundle of 1 MB": {"bundle_id": "b" * (1 << 20)},
        **{f"a year of {name}": {"at_ms": avro.NOON_MS + round(after * YEAR_MS)} for name, after in years.items()},
    }.items():
        yield _score(name, EVENT, **changes)  # type: ignore[arg-type]
    yield _score("a band of nobody's", Nothing(), probability=None, band="high")
    yield _score("a year of 2035", Nothing(), at_ms=avro.NOON_MS + 9 * YEAR_MS)


def _score(name: str, outcome: Outcome, **changes: Any) -> Poison:
    value = avro.framed("risk_scored", avro.score(f"poison score {name}", f"memo of {name}", **changes))
    return Poison(f"score with {name}", (sent("risk.scored", f"score {name}", value, outcome),))


def _alerts() -> Iterator[Poison]:
    for name, changes in {
        "a statistic of NaN": {"statistic": math.nan},
        "an infinite threshold": {"threshold": math.inf},
        "a baseline of NaN": {"baseline": {"n": -1, "mean": math.nan, "sd": math.nan}},
        "a year of 9999": {"at_ms": avro.NOON_MS + 7973 * YEAR_MS},
        "a year of 146 million": {"at_ms": 2**62},
        "an id with line feeds": {"dedup_key": "a\r\nX-Header: b\n", "memo_id": "\x1b[31m"},
        "an id of 1 MB": {"dedup_key": "d" * (1 << 20)},
    }.items():
        content = avro.alert(f"poison alert {name}", f"poison {name}", **changes)  # type: ignore[arg-type]
        value = avro.framed("risk_alert", content)
        yield Poison(f"alert with {name}", (sent("risk.alerts", f"alert {name}", value, Nothing()),))


def _letters(kitchen: Kitchen) -> Iterator[Poison]:
    upload = avro.framed("memo_uploaded", avro.upload("poison of a letter", "m", kitchen.audio()))
    score = avro.framed("risk_scored", avro.score("u", "m"))
    for name, content in {
        "of a topic that nobody knows": avro.letter("forged-1", b"x", topic="somebody.elses"),
        "of nothing": avro.letter("forged-2", None),
        "of garbage": avro.letter("forged-3", b"\xc3\x01garbage"),
        "that is no memo's": avro.letter("forged-4", b"x", stage="[/x]", reason="\x1b[31m:\n", detail="\r\n\0"),
        "with a deep history": avro.letter("forged-5", upload, headers={"undertone-history": b"[" * 100_000}),
        "with twenty digits of redrives": avro.letter("forged-6", upload, headers={"undertone-redrives": b"9" * 20}),
        "of a negative place": avro.letter("forged-7", upload, partition=-1, offset=-(2**63)),
        "of a year of 146 million": avro.letter("forged-8", upload, at=2**62),
        "to write a score": avro.letter("forged-9", score, topic="risk.scored"),
    }.items():
        value = avro.framed("dead_letter", content)
        yield Poison(f"letter {name}", (sent("memos.dead", name, value, Nothing()),))

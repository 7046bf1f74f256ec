"""Poisons on the topics behind the workers: features, scores, alerts, dead letters."""

from collections.abc import Iterator

from tests.faults.judge import Content
from tests.faults.parade import avro
from tests.faults.parade.poison import Kitchen, Letter, Nothing, Outcome, Poison, sent

EVENT = Letter("event:.*")


def downstream(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    for topic in ("memos.features", "risk.scored"):
        yield from _garbage(topic, EVENT)
    for topic in ("risk.alerts", "memos.dead"):
        yield from _garbage(topic, Nothing())
    yield from _features()
    yield from _letters()


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
    for name, changes in {
        "fewer bytes than the shape": {"summary": avro.array(b"\0" * 4, 2)},
        "a negative shape": {"summary": avro.array(b"\0" * 8, -1, -2)},
        "a summary of two dimensions": {"summary": avro.array(b"\0" * 8, 2, 1)},
        "more names than features": {"names": ["a", "b", "c"]},
    }.items():
        content = avro.features(f"poison {name}", f"memo of {name}", **changes)  # type: ignore[arg-type]
        value = avro.framed("memo_features", content)
        yield Poison(f"features {name}", (sent("memos.features", name, value, EVENT),))


def _letters() -> Iterator[Poison]:
    for name, content in {
        "of a topic that nobody knows": avro.letter("forged-1", b"x", topic="somebody.elses"),
        "of nothing": avro.letter("forged-2", None),
        "of garbage": avro.letter("forged-3", b"\xc3\x01garbage"),
        "that is no memo's": avro.letter("forged-4", b"x", stage="[/x]", reason="\x1b[31m:\n", detail="\r\n\0"),
    }.items():
        value = avro.framed("dead_letter", content)
        yield Poison(f"letter {name}", (sent("memos.dead", name, value, Nothing()),))

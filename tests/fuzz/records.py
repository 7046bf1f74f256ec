"""Fuzzed records of every topic, and values in the store, among good memos in one process."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

import msgpack

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import DeadLetter
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, JOIN, MUTES, POOL, PRIOR, row_of
from tests.faults.judge import Content
from tests.faults.poisons import avro
from tests.fuzz.pipeline import Pipeline, Record
from tests.fuzz.values import TEXTS, mutated, scrambled

GOOD_USERS = 3
GOOD_DAYS = 2
TOGETHER = 100
"""Fuzzed records in one batch, beside the good ones."""
OWNERS = 6
"""Users whose state is fuzzed together."""
SLOW_S = 1.0
"""CPU seconds that no record may take."""
USERS = ("stranger", "stranger", "user-0", "a}:x", "")
"""Who a fuzzed record is of: nobody in particular, or whose keys could be taken for another's."""
MEMOS = 3
"""Memos of each in one batch: few, so that a wrong part meets a good one of the same memo."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is offered together. values: in the store before, by key."""

    records: tuple[Record, ...] = ()
    values: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """fault: empty if there is none; reasons: of the dead letters; cpu_s: of a whole batch."""

    fault: str
    reasons: Mapping[str, int]
    cpu_s: float


def good() -> tuple[Record, ...]:
    """Memos with which nothing is wrong, in their order."""
    found: list[Record] = []
    for day in range(GOOD_DAYS):
        for user in range(GOOD_USERS):
            at_ms = avro.NOON_MS + day * avro.DAY_MS
            content = avro.upload(f"good-{user}", f"memo {day} of {user}", "file:///x", at_ms)
            value = avro.framed("memo_uploaded", content)
            found.append(Record("memos.uploaded", f"good-{user}".encode(), value, {}, len(found)))
    return tuple(found)


def fuzzed_records(rng: Random) -> Batch:
    """Records of every topic, wrong in every way."""
    return Batch(tuple(_record(rng, 1000 + number) for number in range(TOGETHER)))


def fuzzed_state(rng: Random) -> Batch:
    """Wrong values under the keys of a few users and of all, and memos of these users."""
    users = [f"owner-{number}" for number in range(OWNERS)]
    uploads, values = [], {}
    for number, user in enumerate(users):
        memo = f"memo of {user}"
        content = avro.upload(user, memo, "file:///x", avro.NOON_MS + avro.DAY_MS * 40)
        value = avro.framed("memo_uploaded", content)
        uploads.append(Record("memos.uploaded", user.encode(), value, {}, 1000 + number))
        for key in (DRIFT.key(user), BASELINE.key(user), BASELINE_0_1.key(user), JOIN.key(user, memo)):
            if rng.random() < 0.6:
                values[key] = _damaged(key, rng)
    for key in (POOL.key(), PRIOR.key(), MUTES.key()):
        if rng.random() < 0.3:
            values[key] = _damaged(key, rng)
    return Batch(tuple(uploads), values)


def outcome(batch: Batch) -> Outcome:
    """Offer the batch between good memos, and compare what these come to with what they come to alone."""
    began = time.process_time()
    try:
        written = asyncio.run(Pipeline(batch.values).offer(_among_good(batch)))
    except Exception as error:
        return Outcome(f"ends the process: {signature(error)}", {}, time.process_time() - began)
    took_s = time.process_time() - began
    letters = _letters(written)
    reasons = Counter(f"{letter.stage} {letter.reason}" for letter in letters)
    lost = [each for each, of in _of_good(written).items() if of != _alone()[each]]
    if lost:
        return Outcome("the outcome of good memos is another", reasons, took_s)
    if len({letter.dead_letter_id for letter in letters}) < len(letters):
        return Outcome("two dead letters of one record", reasons, took_s)
    if any(_is_unreadable(each) for each in written):
        return Outcome("a record is written that cannot be read", reasons, took_s)
    if took_s > SLOW_S and (len(batch.records) == 1 or any(_is_slow(each) for each in batch.records)):
        return Outcome("a record takes too long", reasons, took_s)
    return Outcome("", reasons, took_s)


def _among_good(batch: Batch) -> Sequence[Record]:
    records = good()
    half = len(records) // 2
    return (*records[:half], *batch.records, *records[half:])


def _is_slow(record: Record) -> bool:
    return outcome(Batch((record,))).fault == "a record takes too long"


def smallest(batch: Batch, fault: str, within_s: float) -> Batch:
    """The batch without what its fault does not need, as far as it was found in the time."""
    until = time.monotonic() + within_s
    records, values = list(batch.records), dict(batch.values)

    def remains(fewer: Sequence[Record], kept: Mapping[str, bytes]) -> bool:
        return time.monotonic() < until and outcome(Batch(tuple(fewer), kept)).fault == fault

    size = len(records)
    while size > 1:
        size = (size + 1) // 2
        for start in range(0, len(records), size):
            fewer = records[:start] + records[start + size :]
            if remains(fewer, values):
                records = fewer
                break
    for each in list(records):
        fewer = [other for other in records if other is not each]
        records = fewer if remains(fewer, values) else records
    for key in batch.values:
        kept = {name: value for name, value in values.items() if name != key}
        values = kept if remains(records, kept) else values
    return Batch(tuple(records), values)


def packed(batch: Batch) -> bytes:
    """The batch as a file."""
    records = [(r.topic, r.key, r.value, dict(r.headers), r.offset, r.timestamp_ms) for r in batch.records]
    packed: bytes = msgpack.packb([records, dict(batch.values)])
    return packed


def unpacked(data: bytes) -> Batch:
    """The inverse of `packed`."""
    records, values = msgpack.unpackb(data)
    return Batch(tuple(Record(*each) for each in records), values)


# Making


@cache
def examples() -> Mapping[str, Content]:
    """A record of every topic with which nothing is wrong, as plain Avro."""
    upload = avro.framed("memo_uploaded", avro.upload("stranger", "m", "file:///x"))
    return {
        "memos.uploaded": avro.upload("stranger", "m", "file:///x"),
        "memos.features": avro.features("stranger", "m"),
        "risk.scored": avro.score("stranger", "m"),
        "risk.alerts": avro.alert("stranger", "a"),
        "memos.dead": avro.letter("d", upload),
        "care.actions": avro.action("stranger", "a"),
        "care.consents": avro.consent("stranger", "c"),
        "audit.events": avro.audit("stranger", "a"),
    }


@cache
def _parts() -> Sequence[Content]:
    """Features of a memo that would be scored: of those that no bundle knows, little is looked at."""
    return tuple(avro.parts("stranger", "m"))


@cache
def _encoded() -> tuple[bytes, ...]:
    return tuple(avro.framed(avro.KINDS[topic], content) for topic, content in examples().items())


def _record(rng: Random, offset: int) -> Record:
    topic = rng.choice([each.name for each in topics.TOPICS])
    kind = avro.KINDS[topic]
    content = rng.choice(_parts()) if topic == topics.FEATURES.name else examples()[topic]
    if "user_id" in content:
        content = {**content, "user_id": rng.choice(USERS), "memo_id": f"m{rng.randrange(MEMOS)}"}
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        content = mutated(content, avro.source(kind), rng)
    value: bytes | None = avro.framed(kind, content)
    match rng.randrange(8):
        case 0:
            value = None
        case 1 | 2 | 3:
            value = scrambled(value or b"", rng, _encoded())
        case 4:
            value = rng.choice(_encoded())
    key = rng.choice((b"stranger", b"user-0", b"", None, rng.randbytes(6)))
    stamp = rng.choice((-1, 0, avro.NOON_MS, 2**63 - 1, -(2**63)))
    return Record(topic, key, value, _headers(rng), offset, stamp)


def _headers(rng: Random) -> Mapping[str, bytes]:
    names = ("traceparent", "tracestate", "undertone-redrives", "undertone-history", "ce_id", "ce_time", "content-type")
    values = (
        b"", b"-1", b"3", b"9" * 20, b"[" * 2000, b"[]", b'[{"stage": 1}]', b"{}", b"\xff\xfe", b"null",
        rng.randbytes(16), b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
    )  # fmt: skip
    chosen = rng.sample(names, rng.choice((0, 0, 1, 2)))
    return {rng.choice((name, name, rng.choice(TEXTS))): rng.choice(values) for name in chosen}


@cache
def _written_state() -> Mapping[str, tuple[bytes, ...]]:
    """Values that the system itself has written, by the start of their key."""

    async def run() -> dict[str, tuple[bytes, ...]]:
        pipeline = Pipeline()
        await pipeline.offer(good())
        keys = await pipeline.store.find("*")
        found: dict[str, tuple[bytes, ...]] = {}
        for key, value in (await pipeline.store.read(keys)).items():
            kind = key.partition(":")[0]
            found[kind] = (*found.get(kind, ()), value or b"")
        return found

    return asyncio.run(run())


def _damaged(key: str, rng: Random) -> bytes:
    """A wrong value, of no version that a newer program may have written: for those a process stops on purpose."""
    value, row = _value(key.partition(":")[0], rng), row_of(key)
    return b"\0" + value[1:] if row and row.is_newer(value) else value


def _value(kind: str, rng: Random) -> bytes:
    of_kind = _written_state().get(kind, (b"\x01",))
    every = [value for values in _written_state().values() for value in values]
    match rng.randrange(8):
        case 0:
            return rng.choice((b"", b"\0", b"\x01", b"\x7f", b"\x90", rng.randbytes(40), b"\x01" + rng.randbytes(40)))
        case 1:
            return rng.choice(every)
        case 2:
            tree: bytes = msgpack.packb(_tree(rng, 4))
            return rng.choice((b"", b"\x01", b"\x02", b"\x03")) + tree
    return scrambled(rng.choice(of_kind), rng, every)


def _tree(rng: Random, depth: int) -> object:
    if depth == 0 or rng.random() < 0.3:
        return rng.choice((None, True, 0, -1, 2**63, 1.5, float("nan"), "text", b"bytes"))
    inner = [_tree(rng, depth - 1) for _ in range(rng.randrange(5))]
    return inner if rng.random() < 0.7 else {f"k{number}": value for number, value in enumerate(inner)}


# Judging


@cache
def _alone() -> Mapping[str, tuple[bytes, ...]]:
    return _of_good(asyncio.run(Pipeline().offer(good())))


def _is_unreadable(record: Record) -> bool:
    kind = next(topic.record for topic in topics.TOPICS if topic.name == record.topic)
    try:
        Codec().decode(record.value, kind)
    except DecodeError:
        return True
    return False


def _of_good(written: Sequence[Record]) -> dict[str, tuple[bytes, ...]]:
    """What was written of every good user's memos, but features and where they are written."""
    found: dict[str, tuple[bytes, ...]] = {f"good-{user}": () for user in range(GOOD_USERS)}
    for record in written:
        user = (record.key or b"").decode("utf-8", "replace")
        if user in found and record.topic != topics.FEATURES.name:
            found[user] = (*found[user], record.value or b"")
    return found


def _letters(written: Sequence[Record]) -> list[DeadLetter]:
    codec = Codec()
    return [codec.decode(each.value, DeadLetter) for each in written if each.topic == topics.DEAD.name]


def signature(error: BaseException) -> str:
    """Kind and innermost place of an error of ours."""
    at, place = error.__traceback__, ""
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if any(part in name for part in ("/schemas/", "/workers/", "/streams/")) and "/tests/" not in name:
            place = f"{name.rpartition('/')[2]}:{at.tb_frame.f_code.co_name}"
        at = at.tb_next
    return f"{type(error).__name__} in {place}"

"""Two thousand ways to tamper with the trail, drawn at random: each is found, and named for what it is.

`UNDERTONE_TAMPERINGS=10000` tries as many.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.audit_chain import event_hash, linked
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from streams.audit.findings import Finding, Kind
from streams.audit.heads import SignedHead
from streams.audit.signing import Signer
from streams.audit.verify import Stored, Verdict
from tests.unit.streams.audit.trails import AT, CODEC, Trail, event, rewritten, trail

RUNS = int(os.environ.get("UNDERTONE_TAMPERINGS", "2000"))
BASES = [trail(24, 4, 6, seed=seed, anchors=("file", "s3")) for seed in range(24)]
INSIDER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
"""Somebody with every right on Kafka, and a key that nobody trusts."""

Sees = Callable[[Verdict], bool]
"""Whether the verdict names what was done."""


def named(partition: int, offset: int, *kinds: Kind) -> Sees:
    """A finding of one of these kinds at this place."""

    def sees(verdict: Verdict) -> bool:
        return any((f.partition, f.offset) == (partition, offset) and f.kind in kinds for f in verdict.findings)

    return sees


def any_of(*kinds: Kind) -> Sees:
    """A finding of one of these kinds."""
    return lambda verdict: any(each.kind in kinds for each in verdict.findings)


def place(made: Trail, rng: Random, *, signed: bool = False) -> tuple[int, int]:
    """Partition and index of a record. signed: of one that a head covers."""
    ends = {
        number: sum(each.offset < made.signed[number] for each in log) if signed else len(log)
        for number, log in made.records.items()
    }
    number = rng.choice([number for number, end in ends.items() if end])
    return number, rng.randrange(ends[number])


def decoded(record: Stored) -> AuditEvent:
    return CODEC.decode(record.value, AuditEvent)


def flip(made: Trail, rng: Random) -> Sees:
    """One bit of a record."""
    number, at = place(made, rng)
    record = made.records[number][at]
    data = bytearray(record.value or b"")
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    made.records[number][at] = replace(record, value=bytes(data))
    return named(number, record.offset, Kind.CHANGED, Kind.INVENTED)


def edit(made: Trail, rng: Random) -> Sees:
    """A field of an event; its hash is left as it is, or made anew."""
    number, at = place(made, rng)
    record = made.records[number][at]
    changes: list[dict[str, object]] = [
        {"actor": "nobody"}, {"user_ids": ()}, {"action": AuditAction.SIGNED_IN}, {"at": AT},
        {"reason": "was asked to"}, {"allowed": False}, {"resource": "caseload"}, {"role": "auditor"}, {"seq": 77},
        {"prev": "ab" * 32},
    ]  # fmt: skip
    changed = replace(decoded(record), **rng.choice(changes))  # type: ignore[arg-type]
    if rng.random() < 0.5:
        changed = replace(changed, hash=event_hash(changed))
    made.records[number][at] = replace(record, value=CODEC.encode(changed))
    return named(number, record.offset, Kind.CHANGED, Kind.INVENTED)


def drop(made: Trail, rng: Random) -> Sees:
    """A record; those after it stay where they are, or move up."""
    number, at = place(made, rng, signed=True)
    del made.records[number][at]
    if rng.random() < 0.5:
        made.records[number] = rewritten(made.records[number])
    return any_of(Kind.REMOVED, Kind.CUT)


def drop_unsigned(made: Trail, rng: Random) -> Sees:
    """A record that no head covers, of a writer that went on."""
    later = {(each.writer, each.seq) for each in made.events}
    unsigned = [
        (number, at)
        for number, log in made.records.items()
        for at, record in enumerate(log)
        if record.offset >= made.signed[number] and (decoded(record).writer, decoded(record).seq + 1) in later
    ]
    if not unsigned:
        return drop(made, rng)
    number, at = rng.choice(unsigned)
    gone = decoded(made.records[number].pop(at))
    return lambda verdict: any(
        each.kind is Kind.REMOVED and each.writer == gone.writer and (each.seq or 0) > gone.seq
        for each in verdict.findings
    )


def cut(made: Trail, rng: Random) -> Sees:
    """The end of a partition, or of all of them, from a record on that a head covers."""
    number, at = place(made, rng, signed=True)
    for each in made.records if rng.random() < 0.5 else [number]:
        log = made.records[each]
        made.records[each] = log[:at] if each == number else log[: min(len(log), at)]
    return any_of(Kind.CUT, Kind.REMOVED)


def cut_beginning(made: Trail, rng: Random) -> Sees:
    """The beginning of a partition."""
    number, at = place(made, rng, signed=True)
    made.records[number] = made.records[number][at + 1 :]
    return any_of(Kind.CUT, Kind.REMOVED)


def swap(made: Trail, rng: Random) -> Sees:
    """Two records of a partition, one of which a head covers."""
    number, at = place(made, rng, signed=True)
    log = made.records[number]
    other = rng.choice([each for each in range(len(log)) if each != at])
    one, two = log[at], log[other]
    log[at], log[other] = replace(two, offset=one.offset), replace(one, offset=two.offset)
    return any_of(Kind.SWAPPED, Kind.CHANGED, Kind.INVENTED)


def move(made: Trail, rng: Random) -> Sees:
    """A record to the end of another partition."""
    number, at = place(made, rng, signed=True)
    record = made.records[number].pop(at)
    other = rng.choice([each for each in made.records if each != number])
    made.records[other].append(replace(record, partition=other, offset=_next(made, other)))
    return any_of(Kind.REMOVED, Kind.CUT)


def insert(made: Trail, rng: Random) -> Sees:
    """An event of a writer who is not one, anywhere."""
    number = rng.randrange(len(made.records))
    log = made.records[number]
    at = rng.randrange(len(log) + 1)
    new = linked(event(10_000, "ann"), f"{rng.randrange(16**32):032x}", 1, None, rng.choice((None, b"guess")))
    log.insert(at, Stored(number, 0, b"ann", CODEC.encode(new)))
    made.records[number] = rewritten(log)
    return named(number, at, Kind.INVENTED)


def insert_unchained(made: Trail, rng: Random) -> Sees:
    """An event as of before there were chains, or no event at all, at the end."""
    number = rng.randrange(len(made.records))
    value = rng.choice((CODEC.encode(event(10_000, "ann")), b"no event", b""))
    offset = _next(made, number)
    made.records[number].append(Stored(number, offset, b"ann", value))
    return named(number, offset, Kind.INVENTED)


def replay(made: Trail, rng: Random) -> Sees:
    """A copy of a record, somewhere after it or before."""
    number, at = place(made, rng)
    log = made.records[number]
    log.insert(rng.randrange(len(log) + 1), log[at])
    made.records[number] = rewritten(log)
    return any_of(Kind.REPLAYED)


def fork(made: Trail, rng: Random) -> Sees:
    """Another event with the number of one that is there, and events that follow it."""
    number, at = place(made, rng)
    before = decoded(made.records[number][at])
    other, prev = rng.randrange(len(made.records)), before.prev
    for step in range(rng.randint(1, 3)):
        new = linked(
            event(10_000 + step, "ann"), before.writer or "", before.seq + step, prev, rng.choice((None, b"guess"))
        )
        prev = new.hash
        made.records[other].append(Stored(other, _next(made, other), b"ann", CODEC.encode(new)))
    return any_of(Kind.FORKED, Kind.INVENTED)


def head_changed(made: Trail, rng: Random) -> Sees:
    """A number in a head, or a bit of its signature."""
    lines = made.anchored[rng.choice(list(made.anchored))]
    at = rng.randrange(len(lines))
    parts = json.loads(lines[at])
    if rng.random() < 0.5:
        inner = json.loads(parts["head"])
        inner[rng.choice(("number", "at", "events"))] += rng.randint(1, 9)
        parts["head"] = json.dumps(inner, sort_keys=True, separators=(",", ":"))
    else:
        parts["signature"] = ("B" if parts["signature"][0] != "B" else "C") + parts["signature"][1:]
    lines[at] = json.dumps(parts).encode()
    return any_of(Kind.UNSIGNED, Kind.CHANGED)


def head_removed(made: Trail, rng: Random) -> Sees:
    """Heads of the first anchor, or one in the middle of another."""
    name = rng.choice(list(made.anchored))
    lines = made.anchored[name]
    at = rng.randrange(len(lines)) if name == "file" else rng.randrange(len(lines) - 1)
    del lines[at : len(lines) if name == "file" and rng.random() < 0.5 else at + 1]
    return any_of(Kind.REMOVED, Kind.CUT)


def heads_swapped(made: Trail, rng: Random) -> Sees:
    """Two heads of an anchor."""
    lines = made.anchored[rng.choice(list(made.anchored))]
    one, two = rng.sample(range(len(lines)), 2)
    lines[one], lines[two] = lines[two], lines[one]
    return any_of(Kind.REMOVED, Kind.FORKED)


def signed_anew(made: Trail, rng: Random) -> Sees:
    """A record is changed, and all heads are signed over what is there now by a key that nobody trusts."""
    edit(made, rng)
    for lines in made.anchored.values():
        heads = [SignedHead.of_line(line).head for line in lines]
        forged = [replace(head, key=rng.choice((INSIDER.key, head.key))) for head in heads]
        lines[:] = [SignedHead(h.signed_bytes(), INSIDER.private.sign(h.signed_bytes())).line() for h in forged]
    return any_of(Kind.UNSIGNED)


TAMPERINGS = (
    flip, edit, drop, drop_unsigned, cut, cut_beginning, swap, move, insert, insert_unchained, replay, fork,
    head_changed, head_removed, heads_swapped, signed_anew,
)  # fmt: skip


def _next(made: Trail, number: int) -> int:
    log = made.records[number]
    return log[-1].offset + 1 if log else 0


def test_a_trail_that_nobody_touched_has_no_findings() -> None:
    for made in BASES:
        verdict = made.verdict()
        assert verdict.findings == []
        assert (verdict.events, verdict.writers, verdict.heads) == (24, 3, len(made.heads))
        assert verdict.holds == len(made.heads) >= 4
        assert verdict.unsigned >= 6


@pytest.mark.parametrize("part", range(8))
def test_every_tampering_is_found_and_named(part: int) -> None:
    runs, missed = Counter[str](), list[tuple[str, int, list[Finding]]]()
    for seed in range(part, RUNS, 8):
        rng = Random(seed)
        how = TAMPERINGS[seed % len(TAMPERINGS)] if part % 2 else rng.choice(TAMPERINGS)
        made = BASES[rng.randrange(len(BASES))].copy()
        sees = how(made, rng)
        verdict = made.verdict()
        runs[how.__name__] += 1
        if not verdict.findings or not sees(verdict):
            missed.append((how.__name__, seed, list(verdict.findings)))
    assert missed[:3] == [], Counter(name for name, _, _ in missed)
    assert runs.total() == RUNS // 8


def test_the_last_head_that_holds_is_the_one_before_the_first_change() -> None:
    for seed in range(200):
        rng = Random(seed)
        made = BASES[seed % len(BASES)].copy()
        number, at = place(made, rng, signed=True)
        offset = made.records[number][at].offset
        made.records[number][at] = replace(made.records[number][at], value=b"\xc3\x01")
        covering = next(
            head.head.number
            for head in made.heads
            if number in head.head.partitions and offset < head.head.partitions[number].next
        )
        verdict = made.verdict()
        assert verdict.holds == covering - 1
        assert (verdict.findings[0].head, verdict.findings[0].partition, verdict.findings[0].offset) == (
            covering,
            number,
            offset,
        )

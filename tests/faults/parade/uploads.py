"""Poisons on memos.uploaded: bytes, headers, ids, times, codecs and transactions."""

from collections.abc import Iterator
from dataclasses import replace

from tests.faults.parade import avro
from tests.faults.parade.poison import Kitchen, Letter, Poison, Scored, sent

TOPIC = "memos.uploaded"
EVENT = Letter("event:.*")
"""Refused while it is decoded: bytes, or values beyond their bounds."""
CODECS = ("gzip", "snappy", "lz4", "zstd")
YEAR_MS = 365.25 * avro.DAY_MS


def uploads(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    yield from _bytes(kitchen)
    yield from _headers(kitchen)
    yield from _batches(kitchen)


def _bytes(kitchen: Kitchen) -> Iterator[Poison]:
    whole = kitchen.upload("whole", Scored()).value or b""
    for name, value in {
        "tombstone": None,
        "empty value": b"",
        "one byte": b"\xc3",
        "text": b'{"memo_id": "m", "user_id": "u"}',
        "cut in the middle": whole[: len(whole) // 2],
        "bytes left over": whole + b"\0",
        "unknown fingerprint": whole[:2] + b"\xff" * 8 + whole[10:],
        "registry framing without a schema": b"\0\xff\xff\xff\xff" + whole[10:],
        "another record": avro.framed("risk_scored", avro.score("u", "m")),
        "text that is no UTF-8": whole[:10] + b"\x04\xff\xfe" + whole[10:],
        "a length of 2^62": whole[:10] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" + whole[10:],
        "a negative length": whole[:10] + b"\x01" + whole[10:],
        "a number without end": whole[:10] + b"\xff" * 40,
    }.items():
        yield Poison(name, (sent(TOPIC, name, value, EVENT),))


def _headers(kitchen: Kitchen) -> Iterator[Poison]:
    many = tuple((f"header-{number}", b"x") for number in range(2000))
    for name, headers in {
        "header without a value": (("ce_id", None),),
        "trace of another kind": (("traceparent", b"\xff\xfe"), ("tracestate", b"\xff" * 1000)),
        "redrives below nothing": (("undertone-redrives", b"-1"),),
        "redrives in words": (("undertone-redrives", b"three"),),
        "history that is no list": (("undertone-history", b'{"a": 1}'),),
        "two thousand headers": many,
    }.items():
        yield Poison(name, (replace(kitchen.upload(name, Scored()), headers=headers),))


def _batches(kitchen: Kitchen) -> Iterator[Poison]:
    yield Poison("codec gzip", (kitchen.upload("codec gzip", Scored()),), codec="gzip")
    twice = kitchen.upload("sent twice", Scored())
    yield Poison("sent twice", (twice, twice))

"""Poisons on memos.uploaded: bytes, headers, ids, times, codecs and transactions."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from schemas.settings import Settings
from tests.faults.poisons import avro
from tests.faults.poisons.poison import Kitchen, Letter, Nothing, Poison, RawKey, Scored, Sent, sent

TOPIC = "memos.uploaded"
EVENT = Letter("event:.*")
"""Refused while it is decoded: bytes, or values beyond their bounds."""
YEAR_MS = round(365.2425 * avro.DAY_MS)
A_RUN = Settings.load().dead_letter_max_run + 5
"""Recordings of one user that fail one after another: more than end a worker when they are of many users."""
INFLATED = 100 << 20
"""Bytes of zeros that a batch holds, compressed below the limit of its topic."""


def uploads(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    yield from _bytes(kitchen)
    yield from _headers(kitchen)
    yield from _ids(kitchen)
    yield from _times(kitchen)
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
        "header key that is no UTF-8": ((RawKey(b"\xff\xfe\x80"), b"x"),),
        "trace of another kind": (("traceparent", b"\xff\xfe"), ("tracestate", b"\xff" * 1000)),
        "redrives below nothing": (("undertone-redrives", b"-1"),),
        "redrives in words": (("undertone-redrives", b"three"),),
        "redrives of twenty digits": (("undertone-redrives", b"9" * 20),),
        "redrives of four thousand digits": (("undertone-redrives", b"9" * 4000),),
        "history that is no list": (("undertone-history", b'{"a": 1}'),),
        "history that is deep": (("undertone-history", b"[" * 100_000),),
        "two thousand headers": many,
    }.items():
        # Of a memo that is scored little is read of its headers; of one that is not, its dead letter has them.
        scored, unheard = (
            kitchen.upload(name, Scored()),
            kitchen.upload(f"{name}, no sound", Letter("audio:undecodable"), audio=b"no sound"),
        )
        yield Poison(name, (replace(scored, headers=headers), replace(unheard, headers=headers)))


def _ids(kitchen: Kitchen) -> Iterator[Poison]:
    rows: Mapping[str, dict[str, Any]] = {
        "user id of 2 MB": {"user_id": "u" * (2 << 20)},
        "memo id of 2 MB": {"memo_id": "m" * (2 << 20)},
        "language of 1 MB": {"language": "de" * (1 << 19)},
        "URI of 1 MB": {"audio_uri": "file:///" + "a" * (1 << 20)},
        "empty user id": {"user_id": ""},
        "empty memo id": {"memo_id": ""},
    }
    for name, changes in rows.items():
        upload = kitchen.upload(name, EVENT, **changes)
        yield Poison(name, (replace(upload, key=name.encode()),))
    for name, user in {
        "id with line feeds": "a\nb\r\nc",
        "id that colours a terminal": "\x1b[31mred",
        "id that reads backwards": "\u202euser",
        "id with a NUL": "a\0b",
        "id of spaces": "   ",
    }.items():
        yield Poison(name, (kitchen.upload(name, EVENT, user_id=user),))
    for name, user in {"id with markup": "[/bold]", "id of a format": "%s%n{0}{}"}.items():
        yield Poison(name, (kitchen.upload(name, Scored(), user_id=user),))
    yield Poison(
        "keys that meet",
        (
            kitchen.upload("one of a pair", Scored(), user_id="a", memo_id="x}:y"),
            kitchen.upload("other of a pair", Scored(), user_id="a}:x", memo_id="y"),
        ),
    )
    twins = (kitchen.upload(f"twin {n}", Scored(), memo_id="memo of twins", audio=kitchen.sounds(n)) for n in range(4))
    yield Poison("one memo id of four users", tuple(twins))


def _times(kitchen: Kitchen) -> Iterator[Poison]:
    for name, years in {"9999": 7973.0, "1": -2025.0, "1900": -126.0, "200 million": 2e8}.items():
        at_ms = avro.NOON_MS + round(years * YEAR_MS)
        yield Poison(f"year {name}", (kitchen.upload(f"year {name}", EVENT, at_ms=at_ms),))
    yield Poison("year 2035", (kitchen.upload("year 2035", Scored(), at_ms=avro.NOON_MS + 9 * YEAR_MS),))
    yield Poison("recorded after its upload", (kitchen.upload("backwards", Scored(), uploaded_at=0),))
    old = replace(kitchen.upload("record of 1970", Scored()), at_ms=1)
    yield Poison("record of 1970", (old,))


def _batches(kitchen: Kitchen) -> Iterator[Poison]:
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        yield Poison(f"codec {codec}", (kitchen.upload(f"codec {codec}", Scored()),), codec=codec)
    bomb = Sent(TOPIC, b"bomb", b"\0" * INFLATED, (Letter("event:too_large"),))
    yield Poison("zeros that inflate", (bomb,), codec="gzip")
    twice = kitchen.upload("sent twice", Scored())
    yield Poison("sent twice", (twice, twice))
    yield Poison("aborted", (kitchen.upload("aborted", Nothing()),), transaction="abort")
    yield Poison("committed", (kitchen.upload("committed", Scored()),), transaction="commit")
    phone, letter = "poison of a phone", Letter("audio:empty")
    empty = (kitchen.upload(f"empty {n}", letter, user_id=phone, audio=b"") for n in range(A_RUN))
    yield Poison("a run of one phone", tuple(empty))

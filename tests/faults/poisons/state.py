"""Values in Redis that no program of ours has written, and the memo of the user whose they are."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import blake2b

import msgpack
from redis import Redis

from schemas.settings import Settings
from schemas.state_keys import (
    BASELINE,
    BASELINE_0_1,
    DRIFT,
    EXCLUSIONS,
    JOIN,
    MARK,
    MUTES,
    OPEN_JOINS,
    OUTAGES,
    POOL,
    PREFIX,
    PRIOR,
    ROSTER,
    SILENCES,
)
from tests.faults.poisons import avro
from tests.faults.poisons.poison import Alerted, Kitchen, Nothing, Poison, Scored, Sent

OF_A_USER = (DRIFT, BASELINE, BASELINE_0_1, EXCLUSIONS)
OF_ALL = (POOL, PRIOR, MUTES, MARK, OUTAGES)
INDEXES = (OPEN_JOINS, ROSTER, SILENCES)
"""Keys of all users, of which none is one value."""
Put = Callable[[Redis, str], object]
HIGH = Settings.load().level_high
"""Scores in the high band, one after the other: as many as raise a level alert."""


def stored(content: bytes) -> bytes:
    """A value as the store writes it: eight bytes of BLAKE2b over the content, then the content."""
    return blake2b(content, digest_size=8).digest() + content


def _contents() -> Mapping[str, bytes]:
    # None is of a version one to four above the newest: with a digest that matches, that is state of a newer program.
    return {
        "empty": b"",
        "short": b"\x01",
        "bytes without a digest": bytes(range(256)),
        "no content": stored(b""),
        "of no version": stored(b"\x7fwhat a later program writes"),
        "cut": stored(b"\x01"),
        "noise": stored(b"\x01" + bytes(range(256))),
        "another MessagePack": stored(b"\x01" + msgpack.packb([1, {"a": [None]}, "text"])),
        "text": stored(b'\x01{"not": "a list"}'),
        "numbers without end": stored(b"\x01" + b"\xff" * 64),
    }


def values() -> Mapping[str, Put]:
    """What puts a wrong value, or one of another Redis type, under a key."""
    puts: dict[str, Put] = {
        "list": lambda client, key: client.rpush(key, "a", "b"),
        "hash": lambda client, key: client.hset(key, "a", "b"),
        "set": lambda client, key: client.sadd(key, "a"),
        "sorted set": lambda client, key: client.zadd(key, {"a": 1.0}),
        "stream": lambda client, key: client.xadd(key, {"a": "b"}),
    }
    return puts | {name: partial(_set, content) for name, content in _contents().items()}


def state(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them: whatever is found, the memo is scored, once."""
    for name, put in values().items():
        for row in (*OF_A_USER, JOIN):
            upload = kitchen.upload(f"{row.name} {name}", Scored())
            key = row.key(*upload.memo) if row is JOIN else row.key(upload.memo[0])
            yield Poison(f"state {row.name} {name}", (upload,), before=partial(_before, put, (key,)))
    for name, put in values().items():
        keys = tuple(row.key() for row in OF_ALL)
        yield Poison(
            f"state of all {name}", (kitchen.upload(f"all {name}", Scored()), *_high(f"user of {name}")),
            before=partial(_before, put, keys), alone=True,
        )  # fmt: skip
    for index in INDEXES:
        for name in ("list", "hash", "noise"):
            upload = kitchen.upload(f"{index.name} {name}", Scored())
            before = partial(_before, values()[name], (index.key(),))
            yield Poison(f"state {index.name} {name}", (upload,), before=before, alone=True)


def _high(user: str) -> Iterator[Sent]:
    """Scores of which the last raises an alert, for which mutes are read."""
    for number in range(HIGH):
        memo, at_ms = f"high {number} of {user}", avro.NOON_MS + number * avro.DAY_MS
        content = avro.score(user, memo, at_ms, probability=0.95, band="high")
        value, raised = avro.framed("risk_scored", content), number == HIGH - 1
        yield Sent("risk.scored", user.encode(), value, (Alerted() if raised else Nothing(),), (user, memo))


def _before(put: Put, keys: tuple[str, ...], client: Redis) -> None:
    for key in keys:
        client.delete(PREFIX + key)
        put(client, PREFIX + key)


def _set(content: bytes, client: Redis, key: str) -> None:
    client.set(key, content)

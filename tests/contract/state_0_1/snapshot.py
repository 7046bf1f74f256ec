"""Everything that one Redis holds, as JSON, and back.

A list of keys, sorted: `{"key", "type", "value" or "zlib" or "members", "ttl_s"}`. value: base64 of a string's bytes;
zlib: base64 of its compressed bytes, where these are many fewer; members: of a sorted set, each with its score; ttl_s:
seconds to live, null for ever.
"""

import base64
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

MINUTE_MS = 60_000
SMALL = 4096
"""Bytes up to which a value is not compressed."""


def taken(client: Any) -> list[dict[str, Any]]:
    """What the server holds. client: a synchronous `redis.Redis` that gives bytes.

    A time to live is rounded up to whole minutes: every one that Undertone sets is whole, so within a minute of the
    first write they are told as they were set.
    """
    return [_entry(client, key) for key in sorted(client.keys())]


def restored(client: Any, entries: Iterable[Mapping[str, Any]]) -> None:
    """Give an empty server what `taken` has found."""
    for entry in entries:
        key = entry["key"].encode()
        if entry["type"] == "zset":
            client.zadd(key, {_bytes(member): score for member, score in entry["members"]})
        elif "zlib" in entry:
            client.set(key, zlib.decompress(_bytes(entry["zlib"])))
        else:
            client.set(key, _bytes(entry["value"]))
        if entry["ttl_s"] is not None:
            client.pexpire(key, entry["ttl_s"] * 1000)


def _entry(client: Any, key: bytes) -> dict[str, Any]:
    left_ms = client.pttl(key)
    ttl_s = None if left_ms < 0 else -(-left_ms // MINUTE_MS) * 60
    entry: dict[str, Any] = {"key": key.decode(), "type": client.type(key).decode()}
    if entry["type"] == "zset":
        entry["members"] = [[_text(member), at] for member, at in client.zrange(key, 0, -1, withscores=True)]
    elif entry["type"] == "string":
        value = client.get(key) or b""
        entry |= {"value": _text(value)} if len(value) <= SMALL else {"zlib": _text(zlib.compress(value, 9))}
    else:
        raise TypeError(f"a {entry['type']} is none of what Undertone keeps in Redis")
    return entry | {"ttl_s": ttl_s}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)

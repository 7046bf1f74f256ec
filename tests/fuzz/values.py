"""Wrong values by schema: any Avro content, mutated where its own schema says what stands there, and bytes anyhow."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Content = Any
INTEGERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, -(2**31), 2**32, 2**53, 2**63 - 1, -(2**63))
DOUBLES = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf, 0.5, 2.0)
TEXTS = (
    "", " ", "a", "\0", "\n", "\r\n", "\x1b[31m", "[/x]", "{", "}", "a}:x", "x}:y", "%s", "../..", "\u202e", "\ufeff",
    "\U0001f600", "é", "user-1", "undertone:", "file:///etc/passwd", "http://127.0.0.1/", "null", "NaN", "1" * 25,
)  # fmt: skip
LONGEST = 1 << 16
LARGEST = 1 << 20
"""Bytes of a text, and about those of an array."""


def mutated(content: Content, schema: Any, rng: Random, names: Mapping[str, Any] | None = None) -> Content:
    """The content with one part replaced by another value of the kind that its schema names.

    names: schemas that were named further up.
    """
    known = dict(names or {})
    if isinstance(schema, str):
        schema = known.get(schema, schema)
    if isinstance(schema, list):
        return _union(content, schema, rng, known)
    if isinstance(schema, str):
        return _plain(schema, rng)
    if "name" in schema:
        _learn(schema, known)
    match schema["type"]:
        case "record":
            field = rng.choice(schema["fields"])
            value = content.get(field["name"]) if isinstance(content, dict) else None
            return {**content, field["name"]: mutated(value, field["type"], rng, known)}
        case "array":
            return _array(content, schema, rng, known)
        case "map":
            return {rng.choice(TEXTS): _plain("bytes", rng) for _ in range(rng.choice((0, 1, 3, 1000)))}
        case "enum":
            return rng.choice(schema["symbols"])
        case kind:
            return _plain(kind, rng)


def _learn(schema: Mapping[str, Any], known: dict[str, Any]) -> None:
    """Remember every named schema within this one: fields refer to each other's."""
    known[schema["name"]] = schema
    for field in schema.get("fields", ()):
        inner = field["type"]
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict) and "name" in each:
                _learn(each, known)


def _union(content: Content, schema: Sequence[Any], rng: Random, known: Mapping[str, Any]) -> Content:
    chosen = rng.choice(schema)
    return None if chosen == "null" else mutated(content, chosen, rng, known)


def _array(content: Content, schema: Mapping[str, Any], rng: Random, known: Mapping[str, Any]) -> list[Content]:
    items = list(content or ())
    inner = schema["items"]
    match rng.randrange(4):
        case 0:
            return []
        case 1 if items:
            place = rng.randrange(len(items))
            return [*items[:place], mutated(items[place], inner, rng, known), *items[place + 1 :]]
        case 2 if items:
            return items * rng.choice((2, 3, 100 if len(items) < 100 else 2))
    if isinstance(inner, str) and inner in {"int", "long", "string", "double"}:
        item = _plain(inner, rng)
        return [item] * min(rng.choice((1, 2, 33, 5000)), LARGEST // (len(item) + 1 if isinstance(item, str) else 8))
    return items


def _plain(kind: str, rng: Random) -> Content:
    match kind:
        case "string":
            text = rng.choice(TEXTS)
            return text * rng.choice((1, 1, 1, 129, LONGEST // max(len(text), 1))) if text else text
        case "int":
            return max(min(rng.choice(INTEGERS), 2**31 - 1), -(2**31))
        case "long":
            return rng.choice((*INTEGERS, rng.randrange(-(2**63), 2**63), rng.randrange(10**12, 3 * 10**12)))
        case "double":
            return rng.choice((*DOUBLES, rng.gauss(0, 1e3), struct.unpack("<d", rng.randbytes(8))[0]))
        case "boolean":
            return rng.random() < 0.5
        case "bytes":
            return rng.randbytes(rng.choice((0, 1, 3, 4, 8, 64, 513)))
    return None


def scrambled(data: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """The bytes after one to four changes that know nothing of what they are."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(_CHANGES)(data, rng, others)
    return data


def _flip(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _overwrite(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at, value = rng.randrange(len(data) + 1), rng.choice(INTEGERS)
    form = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    return data[:at] + struct.pack(form, value & (1 << 8 * size) - 1) + data[at + size :]


def _cut(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 256)) :]


def _insert(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((b"\0", b"\xff", rng.randbytes(4))) * rng.choice((1, 4, 300)) + data[at:]


def _repeat(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    piece = data[at : at + rng.choice((1, 8, 64, 1024))]
    return data[:at] + piece * rng.choice((2, 3, 50)) + data[at + len(piece) :]


def _splice(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


_CHANGES: Sequence[Callable[[bytes, Random, Sequence[bytes]], bytes]] = (
    _flip, _flip, _overwrite, _overwrite, _cut, _remove, _insert, _repeat, _splice,
)  # fmt: skip

"""Fuzzed writer schemas, as a registry may answer them, and the records that name them."""

import json
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import msgpack

from schemas import topics
from schemas.codec import Codec, DecodeError
from tests.faults.poisons import avro
from tests.fuzz.records import SLOW_S, examples, signature
from tests.fuzz.values import INTEGERS, TEXTS, scrambled

PLAIN = ("null", "boolean", "int", "long", "float", "double", "bytes", "string", "nonsense", "Nobody", "MemoUploaded")
LOGICAL = (
    "uuid", "decimal", "date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros",
    "local-timestamp-millis", "duration", "nonsense",
)  # fmt: skip
DEEPEST, WIDEST, LARGEST = 300, 500, 20_000


@dataclass(frozen=True, slots=True)
class Written:
    """A record of `topic` in a registry's framing, and the schema that the registry has for it, as it sends it."""

    topic: str
    schema: str
    value: bytes


class _Registry:
    """One that has one schema."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    def id_of(self, subject: str, schema: str) -> int:
        """See Registry."""
        return 1

    def schema_of(self, schema_id: int) -> str:
        """See Registry."""
        return self._schema


def fuzzed_writer(rng: Random) -> Written:
    """A schema that is wrong in some way, and bytes that may be of it."""
    topic = rng.choice([each.name for each in topics.TOPICS])
    kind = avro.KINDS[topic]
    schema: Any = json.loads(json.dumps(dict(avro.source(kind))))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        changed = _changed(schema, rng)
        schema = changed if _size(changed, LARGEST) < LARGEST else schema
    text = json.dumps(schema)
    if rng.random() < 0.1:
        text = scrambled(text.encode(), rng).decode("utf-8", "replace")
    if rng.random() < 0.05:
        text = _nested(text, rng)
    data = avro.body(kind, examples()[topic])
    tail = rng.choice(
        (
            b"",
            b"",
            b"",
            b"",
            b"\0",
            b"\x02" * rng.choice((1, 50_000)),
            avro.long(rng.choice(INTEGERS)),
            rng.randbytes(9),
        )
    )
    data = scrambled(data, rng) if rng.random() < 0.3 else data
    return Written(topic, text, b"\0" + struct.pack(">I", 1) + data + tail)


def fault_of(given: Written) -> tuple[str, Mapping[str, int], float]:
    """What is wrong with how it is decoded, empty if nothing is; what came of it, counted; CPU seconds."""
    record = next(each.record for each in topics.TOPICS if each.name == given.topic)
    began, fault, found = time.process_time(), "", "decoded"
    try:
        Codec(_Registry(given.schema)).decode(given.value, record)
    except DecodeError:
        found = "refused"
    except Exception as error:
        fault, found = f"raises {signature(error)}", ""
    took_s = time.process_time() - began
    if took_s > SLOW_S:
        fault = fault or "takes too long"
    return fault, {found: 1}, took_s


def packed(given: Written) -> bytes:
    """The record as a file."""
    data: bytes = msgpack.packb([given.topic, given.schema, given.value])
    return data


def unpacked(data: bytes) -> Written:
    """The inverse of `packed`."""
    return Written(*msgpack.unpackb(data))


def _changed(schema: Any, rng: Random) -> Any:
    """The schema with one place in it replaced."""
    if rng.random() < 0.15:
        return _any(rng, 4)
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if isinstance(fields, list) and fields and all(isinstance(each, dict) and "type" in each for each in fields):
        fields = list(fields)
        place = rng.randrange(len(fields))
        match rng.randrange(7):
            case 0:
                fields.append({"name": rng.choice(("more", *TEXTS)), "type": _any(rng, 4), **_default(rng)})
            case 1:
                del fields[place]
            case 2:
                fields.insert(0, fields[place])
            case 3:
                rng.shuffle(fields)
            case _:
                fields[place] = {**fields[place], "type": _changed(fields[place]["type"], rng), **_default(rng)}
        return {**schema, "fields": fields}
    if isinstance(schema, dict):
        key = rng.choice(sorted(schema))
        if key in {"type", "items", "values"}:
            return {**schema, key: _changed(schema[key], rng)}
        return {**schema, key: rng.choice((None, 1, -1, 2**40, "", "x" * 1000, [], {}, [[]]))}
    if isinstance(schema, list):
        return [_changed(each, rng) for each in schema[:WIDEST]] * (
            rng.choice((1, 1, 2, 300)) if len(schema) < 3 else 1
        )
    return _any(rng, 3)


def _size(schema: Any, most: int) -> int:
    """How many values a schema holds; about `most` for one with more."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    total = 1
    for each in inner:
        total += _size(each, most - total)
        if total >= most:
            break
    return total


def _any(rng: Random, depth: int) -> Any:
    """A schema of any kind."""
    if depth == 0 or rng.random() < 0.4:
        return rng.choice((*PLAIN, {"type": rng.choice(PLAIN), "logicalType": rng.choice(LOGICAL), **_precision(rng)}))
    name = rng.choice(("A", "B", "Link", "undertone.v1.MemoUploaded", "Extractor"))
    match rng.randrange(7):
        case 0:
            return {"type": "array", "items": _any(rng, depth - 1)}
        case 1:
            return {"type": "map", "values": _any(rng, depth - 1)}
        case 2:
            wide = rng.random() < 0.1
            return [_any(rng, 0 if wide else depth - 1) for _ in range(WIDEST if wide else rng.randrange(6))]
        case 3:
            return {"type": "fixed", "name": name, "size": rng.choice(INTEGERS)}
        case 4:
            return {"type": "enum", "name": name, "symbols": rng.choice(([], ["A"], ["A", "A"], ["é"], ["x"] * 500))}
        case 5:
            link = {"name": "next", "type": rng.choice((name, ["null", name], {"type": "array", "items": name}))}
            return {"type": "record", "name": name, "fields": [link, {"name": "a", "type": _any(rng, depth - 1)}]}
    fields = [{"name": f"f{number}", "type": _any(rng, depth - 1)} for number in range(rng.choice((0, 1, 3)))]
    return {"type": rng.choice(("record", "error")), "name": name, "fields": fields}


def _default(rng: Random) -> dict[str, Any]:
    return {"default": rng.choice((None, 0, "x", [], {}, 1e400, [[[]]]))} if rng.random() < 0.3 else {}


def _precision(rng: Random) -> dict[str, int]:
    return {"precision": rng.choice(INTEGERS), "scale": rng.choice(INTEGERS)} if rng.random() < 0.5 else {}


def _nested(text: str, rng: Random) -> str:
    depth = rng.choice((20, DEEPEST, 5000))
    head, tail = rng.choice((("[", "]"), ('{"type":"array","items":', "}"), ('{"type":', "}")))
    return head * depth + text + tail * depth

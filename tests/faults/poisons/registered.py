"""Poisons in a registry's framing: writer schemas that lie, or want more than a record may have."""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.poisons import avro
from tests.faults.poisons.poison import Kitchen, Letter, Outcome, Poison, Scored, sent

EVENT = Letter("event:.*")
DEEP = 500
NESTED = "stands for records within each other"
LINKS = 100_000
MANY = 1 << 40
UUID = "0b5c2a3e-6f0d-4f6e-9a57-2f6f3d9b7c10"


def registered(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    user, plain = "poison of a registry", avro.source("memo_uploaded")
    memo = avro.upload(user, UUID, kitchen.audio())
    whole = avro.body("memo_uploaded", memo)
    yield _row(kitchen, "as it should be", plain, whole, Scored(), memo=(user, UUID))
    logical: Mapping[str, tuple[str, object]] = {
        "memo id as uuid": ("memo_id", {"type": "string", "logicalType": "uuid"}),
        "user id as decimal": ("user_id", {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": 2}),
    }
    for name, (field, kind) in logical.items():
        data = avro.body("memo_uploaded", {**memo, "user_id": f"poison {name}"})
        yield _row(kitchen, name, _field(plain, field, kind), data, Scored(), memo=(f"poison {name}", UUID))
    kinds: Mapping[str, object] = {
        "user id as fixed bytes": {"type": "fixed", "name": "F", "size": len(user) + 1},
        "user id as a number": "long",
    }
    for name, other in kinds.items():
        yield _row(kitchen, name, _field(plain, "user_id", other), whole, EVENT)
    for name, (more, tail) in _more().items():
        longer = {**plain, "fields": [*plain["fields"], {"name": "more", "type": more}]}
        yield _row(kitchen, name, longer, whole + tail, EVENT)
    schemas: Mapping[str, object] = {
        "no schema": "nonsense",
        "a schema of one kind": "string",
        "a schema of another record": avro.source("risk_scored"),
        "a schema of 2 MB": {**plain, "doc": "x" * (2 << 20)},
        "a schema that names nothing": {**plain, "fields": [{"name": "a", "type": "Nobody"}]},
    }
    for name, schema in schemas.items():
        yield _row(kitchen, name, schema, whole, EVENT)


def _more() -> Mapping[str, tuple[object, bytes]]:
    """A field that no reader knows, and what stands in it."""
    link = {"type": "record", "name": "Link", "fields": [{"name": "next", "type": ["null", "Link"]}]}
    unions = ["null", *({"type": "fixed", "name": f"F{number}", "size": 1} for number in range(2000))]
    nothing = {"type": "record", "name": "Nothing", "fields": []}
    return {
        "a field without an end of records": (NESTED, b"\0"),
        "a field of 100,000 links": (link, b"\x02" * LINKS + b"\0"),
        "a field of 2^40 nulls": ({"type": "array", "items": "null"}, avro.long(MANY) + b"\0"),
        "a field of 2^40 empty records": ({"type": "array", "items": nothing}, avro.long(MANY) + b"\0"),
        "a field of -2^40 nulls": ({"type": "array", "items": "null"}, avro.long(-MANY) + b"\0\0"),
        "a field of 2^31 fixed bytes": ({"type": "fixed", "name": "F", "size": 2**31 - 1}, b"x"),
        "a field of many unions": (unions, b"\0"),
    }


def _nested() -> str:
    """Records within each other, as JSON: too deep for an encoder."""
    heads = (f'{{"type":"record","name":"R{level}","fields":[{{"name":"f","type":' for level in range(DEEP))
    return "".join(heads) + '"null"' + "}]}" * DEEP


def _row(
    kitchen: Kitchen, name: str, schema: object, data: bytes, *outcomes: Outcome, memo: tuple[str, str] = ("", "")
) -> Poison:
    text = json.dumps(schema).replace(f'"{NESTED}"', _nested())
    value = b"\0" + struct.pack(">I", kitchen.register(text)) + data
    return Poison(f"registry {name}", (sent("memos.uploaded", f"registry {name}", value, *outcomes, memo=memo),))


def _field(schema: Mapping[str, Any], name: str, kind: object) -> Mapping[str, Any]:
    fields = [{**each, "type": kind} if each["name"] == name else each for each in schema["fields"]]
    return {**schema, "fields": fields}

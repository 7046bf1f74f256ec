"""Schemas of a registry, as anyone may have registered them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.writer_schemas import SCHEMA_BYTES, SchemaError, released, vetted

NAME = "undertone.v1.MemoUploaded"


def record(*types: Any, **more: Any) -> dict[str, Any]:
    fields = [{"name": f"f{number}", "type": each} for number, each in enumerate(types)]
    return {"type": "record", "name": "MemoUploaded", "namespace": "undertone.v1", "fields": fields, **more}


OWN = released(record("string"))


def field_type(node: Any) -> Any:
    return vetted(json.dumps(record(node)), OWN).parsed["fields"][0]["type"]


def deep(levels: int) -> Any:
    node: Any = "int"
    for _ in range(levels):
        node = {"type": "array", "items": node}
    return node


def expanding(levels: int) -> list[Any]:
    """Records that each hold two of the one before: 2 to the power of `levels` fields."""
    types: list[Any] = [{"type": "record", "name": "L0", "fields": [{"name": "x", "type": "int"}]}]
    for level in range(1, levels):
        fields = [{"name": name, "type": f"L{level - 1}"} for name in "ab"]
        types.append({"type": "record", "name": f"L{level}", "fields": fields})
    return types


def recursive(through: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Node", "fields": [{"name": "next", "type": through}]}


REFUSED: dict[str, Any] = {
    "text that is no JSON": "{",
    "deep JSON": "[" * 30_000,
    "a number": "7",
    "nothing": "null",
    "large": json.dumps(record("string", doc="x" * SCHEMA_BYTES)),
    "no record": '"string"',
    "a union of records": json.dumps([record("string")]),
    "another record": json.dumps({**record("string"), "name": "RiskScored"}),
    "another namespace": json.dumps({**record("string"), "namespace": "other"}),
    "an error": json.dumps({**record("string"), "type": "error"}),
    "no fields": json.dumps(record()),
    "fields that are none": json.dumps({**record("string"), "fields": "abc"}),
    "a field twice": json.dumps({**record("string"), "fields": [{"name": "a", "type": "int"}] * 2}),
    "an unknown type": json.dumps(record("Unknown")),
    "no type": json.dumps(record(None)),
    "a type of a number": json.dumps(record({"type": 7})),
    "recursive": json.dumps(record(recursive(["null", "Node"]))),
    "recursive at the top": json.dumps(record(["null", "MemoUploaded"])),
    "recursive through an array": json.dumps(record(recursive({"type": "array", "items": "Node"}))),
    "deep": json.dumps(record(deep(17))),
    "very deep": json.dumps(record(deep(300))),
    "a type within a type": json.dumps(record({"type": {"type": {"type": {"type": deep(14)}}}})),
    "expanding": json.dumps(record(*expanding(12))),
    "null": json.dumps(record("null")),
    "an array of nulls": json.dumps(record({"type": "array", "items": "null"})),
    "an array of records without fields": json.dumps(
        record({"type": "array", "items": {"type": "record", "name": "E", "fields": []}})
    ),
    "a map of records of nulls": json.dumps(
        record({"type": "map", "values": {"type": "record", "name": "E", "fields": [{"name": "n", "type": "null"}]}})
    ),
    "a fixed type of no bytes": json.dumps(record({"type": "fixed", "name": "F", "size": 0})),
    "a fixed type of too many": json.dumps(record({"type": "fixed", "name": "F", "size": 2**40})),
    "a fixed type of true bytes": json.dumps(record({"type": "fixed", "name": "F", "size": True})),
    "an empty union": json.dumps(record([])),
    "a union of unions": json.dumps(record([["null", "int"]])),
    "a union of too many": json.dumps(record(["int"] * 40)),
    "an enum without symbols": json.dumps(record({"type": "enum", "name": "E", "symbols": []})),
    "a type twice": json.dumps(record(*[{"type": "fixed", "name": "F", "size": 1}] * 2)),
    "many fields": json.dumps(record(*["int"] * 2000)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_that_could_do_harm_is_refused_by_a_rule(name: str) -> None:
    for _ in range(2):  # the second time from the cache
        with pytest.raises(SchemaError) as refused:
            vetted(REFUSED[name], OWN)
        assert 0 < len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"type": "string", "logicalType": "uuid"}, "string"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "bytes"),
        ({"type": "int", "logicalType": "date"}, "int"),
        ({"type": "long", "logicalType": "time-micros"}, "long"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, "long"),
        ({"type": "long", "logicalType": {"a": 1}}, "long"),
        ({"type": "long", "logicalType": "timestamp-millis"}, {"type": "long", "logicalType": "timestamp-millis"}),
        ({"type": "string", "avro.java.string": "String"}, "string"),
        (["null", {"type": "string", "logicalType": "uuid"}], ["null", "string"]),
    ],
)
def test_only_timestamps_keep_their_logical_type(written: Any, read: Any) -> None:
    assert field_type(written) == read


def test_named_types_are_known_by_full_name_wherever_they_are_defined() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "x", "type": "int"}]}
    other = {"type": "fixed", "name": "F", "namespace": "other", "size": 2}
    schema = vetted(json.dumps(record(["null", inner], "Inner", {"type": "map", "values": other}, "other.F")), OWN)
    assert {"undertone.v1.MemoUploaded", "undertone.v1.Inner", "other.F"} == set(schema.types)


def test_our_own_schema_is_itself_however_it_is_written() -> None:
    same = json.dumps({**record({"type": "string", "maxLength": 3}), "doc": "d", "x": 1}, indent=1, sort_keys=True)
    assert vetted(same, OWN) is OWN
    for other in (record("bytes"), record("string", "string"), record(["string"])):
        assert vetted(json.dumps(other), OWN) is not OWN


def test_what_reading_does_not_need_is_left_behind() -> None:
    schema = vetted(
        json.dumps(record("int", __fastavro_parsed__=True, __named_schemas={}, doc="d", aliases=["x"])), OWN
    )
    assert "doc" not in schema.parsed
    assert schema.parsed["fields"][0]["type"] == "int"


json_nodes = st.recursive(
    st.sampled_from(["null", "int", "string", "record", "array", "map", "enum", "MemoUploaded", 7, None, True]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "fields", "items", "values", "symbols", "size", "namespace"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_nodes)
def test_any_json_is_a_schema_or_refused(node: Any) -> None:
    for text in (json.dumps(node), json.dumps(record(node))):
        with contextlib.suppress(SchemaError):
            assert vetted(text, OWN).parsed["name"] == NAME

from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_values import ValueCount, ValuesError
from schemas.codec import Codec
from schemas.writer_schemas import released
from tests.unit.schemas.records import records
from tests.unit.schemas.test_codec import current

EVERYTHING: Any = {
    "type": "record",
    "name": "a.R",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "numbers", "type": {"type": "array", "items": ["null", "int", "double"]}},
        {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "fixed_again", "type": "F"},
        {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["x", "y"]}},
        {"name": "map", "type": {"type": "map", "values": {"type": "array", "items": "float"}}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "text", "type": {"type": "string"}},
        {"name": "data", "type": "bytes"},
    ],
}
VALUE = {
    "flag": True,
    "numbers": [None, 1, 2.5],
    "fixed": b"abc",
    "fixed_again": b"def",
    "kind": "y",
    "map": {"m": [1.0, 2.0]},
    "at": 5,
    "text": "é",
    "data": b"xyz",
}


def walked(schema: Any, data: bytes, most: int = 10_000) -> ValueCount:
    ready = released(schema)
    count = ValueCount(data, 0, ready.types, most)
    count.walk(ready.parsed)
    return count


def written(schema: Any, value: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def test_a_walk_ends_where_the_value_ends() -> None:
    data = written(EVERYTHING, VALUE)
    count = walked(EVERYTHING, data + b"rest")
    assert count.at == len(data)
    assert 0 < count.found <= len(data)


@given(records)
def test_every_record_is_walked_to_its_end(record: Any) -> None:
    data = Codec().encode(record)[10:]
    count = walked(current(type(record)), data)
    assert count.at == len(data)
    assert count.found <= len(data)


def test_the_maximum_is_the_number_of_values() -> None:
    data = written({"type": "array", "items": "string"}, ["a"] * 8)
    assert walked({"type": "array", "items": "string"}, data, most=10).found == 10  # with the counts of the two blocks
    with pytest.raises(ValuesError, match="more than 9 values"):
        walked({"type": "array", "items": "string"}, data, most=9)


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ("string", b"\x06ab"),
        ("string", b"\x01"),
        ("long", b"\xff" * 11),
        ("long", b""),
        ("double", b"\x00" * 7),
        (["null", "string"], b"\x04"),
        (["null", "string"], b"\x01"),
        ({"type": "map", "values": "int"}, b"\x02\x06ab"),
        ({"type": "array", "items": "int"}, b"\x02"),
    ],
)
def test_bytes_that_end_early_or_lie_are_refused(schema: Any, data: bytes) -> None:
    with pytest.raises(ValuesError):
        walked(schema, data)


def test_a_block_states_its_own_size() -> None:
    block = b"\x03\x04\x02\x02\x00"  # two numbers in two bytes, and the end of the array
    assert walked({"type": "array", "items": "int"}, block).found == 5


@pytest.mark.parametrize("size", [-100, -1, 0, 1, 3, 100])
def test_a_block_with_the_size_of_another_is_refused(size: int) -> None:
    """A reader that skips the block by its size goes elsewhere: with one below zero back, and for ever."""
    data = b"\x03" + written("long", size) + b"\x02\x02\x00"
    with pytest.raises(ValuesError, match="another size than it states"):
        walked({"type": "array", "items": "int"}, data)


@given(st.binary(max_size=300))
def test_any_bytes_are_walked_or_refused(data: bytes) -> None:
    try:
        count = walked(EVERYTHING, data, most=50)
    except ValuesError:
        return
    assert count.at <= len(data)
    assert count.found <= 50

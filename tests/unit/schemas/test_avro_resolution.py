"""The rules, each held against what fastavro really reads."""

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest
from fastavro.schema import SchemaParseException, UnknownType, parse_schema
from fastavro.utils import generate_many
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas.avro_resolution import Obstacle, obstacles

NULLABLE: list[Any] = ["null", "string"]
NOT_WRITTEN = "is not written, and has no default to be read as"


def enum(*symbols: str, name: str = "Kind", **more: object) -> dict[str, object]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def record(*fields: dict[str, object], name: str = "n.R", **more: object) -> dict[str, object]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: object, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, **more}


A = field("a", "string")
TREE = record(A, field("next", ["null", "n.R"]))
READ: list[tuple[str, Any, Any]] = [
    ("the same", record(A), record(A)),
    ("a field that the reader does not want", record(A), record(A, field("b", "int"))),
    ("a missing field with a default", record(A, field("b", "int", default=0)), record(A)),
    ("a missing field that may be null", record(A, field("b", NULLABLE, default=None)), record(A)),
    ("fields in another order", record(A, field("b", "int")), record(field("b", "int"), A)),
    ("int as long", record(field("a", "long")), record(field("a", "int"))),
    ("int as float", record(field("a", "float")), record(field("a", "int"))),
    ("long as double", record(field("a", "double")), record(field("a", "long"))),
    ("float as double", record(field("a", "double")), record(field("a", "float"))),
    ("string as bytes", record(field("a", "bytes")), record(field("a", "string"))),
    ("plain as nullable", record(field("a", NULLABLE)), record(field("a", "string"))),
    ("a promotion into a union", record(field("a", ["null", "double"])), record(field("a", "int"))),
    ("fewer branches", record(field("a", ["null", "string", "int"])), record(field("a", ["int", "null"]))),
    (
        "an unknown symbol with a default",
        record(field("a", enum("x", default="x"))),
        record(field("a", enum("x", "y"))),
    ),
    ("fewer symbols", record(field("a", enum("x", "y"))), record(field("a", enum("x")))),
    ("a renamed field with an alias", record(field("b", "string", aliases=["a"])), record(A)),
    ("a renamed record with an alias", record(A, name="n.S", aliases=["R"]), record(A)),
    ("another namespace", record(A, name="m.R"), record(A)),
    (
        "items",
        record(field("a", {"type": "array", "items": "long"})),
        record(field("a", {"type": "array", "items": "int"})),
    ),
    (
        "values",
        record(field("a", {"type": "map", "values": "long"})),
        record(field("a", {"type": "map", "values": "int"})),
    ),
    (
        "a nested record",
        record(field("a", record(A, name="n.S"))),
        record(field("a", record(A, field("b", "int"), name="n.S"))),
    ),
    ("a recursive record", TREE, TREE),
    (
        "fixed",
        record(field("a", {"type": "fixed", "name": "F", "size": 4})),
        record(field("a", {"type": "fixed", "name": "F", "size": 4})),
    ),
]
UNREAD: list[tuple[str, Any, Any, Obstacle]] = [
    ("a missing field", record(A, field("b", "int")), record(A), Obstacle("b", NOT_WRITTEN)),
    ("long as int", record(field("a", "int")), record(field("a", "long")), Obstacle("a", "long cannot be read as int")),
    (
        "double as float",
        record(field("a", "float")),
        record(field("a", "double")),
        Obstacle("a", "double cannot be read as float"),
    ),
    ("string as int", record(field("a", "int")), record(A), Obstacle("a", "string cannot be read as int")),
    (
        "bool as int",
        record(field("a", "int")),
        record(field("a", "boolean")),
        Obstacle("a", "boolean cannot be read as int"),
    ),
    ("nullable as plain", record(A), record(field("a", NULLABLE)), Obstacle("a", "null cannot be read as string")),
    (
        "more branches",
        record(field("a", NULLABLE)),
        record(field("a", [*NULLABLE, "boolean"])),
        Obstacle("a", "no branch of the union reads boolean"),
    ),
    (
        "an unknown symbol",
        record(field("a", enum("x"))),
        record(field("a", enum("x", "y"))),
        Obstacle("a", "symbol y is unknown, and the enum has no default"),
    ),
    (
        "another enum",
        record(field("a", enum("x"))),
        record(field("a", enum("x", name="Other"))),
        Obstacle("a", "enum n.Other is not n.Kind; an alias would join them"),
    ),
    ("a renamed field", record(field("b", "string")), record(A), Obstacle("b", NOT_WRITTEN)),
    (
        "another record",
        record(A, name="n.S"),
        record(A),
        Obstacle("", "record n.R is not n.S; an alias would join them"),
    ),
    (
        "items",
        record(field("a", {"type": "array", "items": "int"})),
        record(field("a", {"type": "array", "items": "string"})),
        Obstacle("a[]", "string cannot be read as int"),
    ),
    (
        "values",
        record(field("a", {"type": "map", "values": "int"})),
        record(field("a", {"type": "map", "values": "string"})),
        Obstacle("a{}", "string cannot be read as int"),
    ),
    (
        "array as map",
        record(field("a", {"type": "map", "values": "int"})),
        record(field("a", {"type": "array", "items": "int"})),
        Obstacle("a", "array cannot be read as map"),
    ),
    (
        "a nested field",
        record(field("a", record(A, field("b", "int"), name="n.S"))),
        record(field("a", record(A, name="n.S"))),
        Obstacle("a.b", NOT_WRITTEN),
    ),
    (
        "inside a union",
        record(field("a", ["null", record(A, field("b", "int"), name="n.S")])),
        record(field("a", ["null", record(A, name="n.S")])),
        Obstacle("a.b", NOT_WRITTEN),
    ),
    (
        "inside a recursion",
        record(A, field("next", ["null", "n.R"]), field("b", "int")),
        TREE,
        Obstacle("b", NOT_WRITTEN),
    ),
    (
        "bytes as string",
        record(field("a", "string")),
        record(field("a", "bytes")),
        Obstacle("a", "bytes cannot be read as string"),
    ),
    (
        "another size",
        record(field("a", {"type": "fixed", "name": "F", "size": 4})),
        record(field("a", {"type": "fixed", "name": "F", "size": 5})),
        Obstacle("a", "5 bytes cannot be read as 4"),
    ),
]


def really_read(reader: Any, writer: Any) -> None:
    """Write generated values and read them; raises what fastavro raises."""
    parsed = parse_schema(writer, named_schemas={})
    for value in generate_many(parsed, 30):
        out = BytesIO()
        fastavro.schemaless_writer(out, parsed, value)
        out.seek(0)
        fastavro.schemaless_reader(out, parsed, parse_schema(reader, named_schemas={}))


@pytest.mark.parametrize(("name", "reader", "writer"), READ, ids=[r[0] for r in READ])
def test_what_has_no_obstacle_is_really_read(name: str, reader: Any, writer: Any) -> None:
    assert obstacles(reader, writer) == []
    really_read(reader, writer)


@pytest.mark.parametrize(("name", "reader", "writer", "obstacle"), UNREAD, ids=[u[0] for u in UNREAD])
def test_what_has_an_obstacle_really_fails(name: str, reader: Any, writer: Any, obstacle: Obstacle) -> None:
    assert obstacles(reader, writer) == [obstacle]
    with pytest.raises(Exception):  # noqa: B017, PT011 - fastavro fails in many ways
        really_read(reader, writer)


kinds = st.recursive(
    st.sampled_from(["null", "boolean", "int", "long", "float", "double", "string", "bytes"])
    | st.builds(
        lambda symbols, default: enum(*symbols, **({"default": symbols[0]} if default else {})),
        st.lists(st.sampled_from("xyz"), min_size=1, unique=True),
        st.booleans(),
    ),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda values: {"type": "map", "values": values}, inner)
        | inner.filter(lambda kind: kind != "null").map(lambda kind: ["null", kind])
    ),
    max_leaves=3,
).filter(lambda kind: "['null', ['null'" not in str(kind))


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """Records of up to three fields out of few names and kinds, so that two of them often have much in common."""
    names = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
    fields = []
    for number, name in enumerate(names):
        # Named types are defined once in a schema: the name carries the field's number.
        kind = json.loads(json.dumps(draw(kinds)).replace('"Kind"', f'"Kind{number}"'))
        nullable = draw(st.booleans())
        plain = not isinstance(kind, list) and kind != "null"
        fields.append(field(name, ["null", kind], default=None) if nullable and plain else field(name, kind))
    return record(*fields)


# Most pairs have obstacles.
@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
@given(schemas(), schemas())
def test_two_schemas_without_obstacles_really_read_each_other(reader: dict[str, Any], writer: dict[str, Any]) -> None:
    assume(not obstacles(reader, writer))
    really_read(reader, writer)


@given(schemas())
def test_a_schema_reads_itself(schema: dict[str, Any]) -> None:
    assert obstacles(schema, schema) == []
    really_read(schema, schema)


def test_a_changed_meaning_is_an_obstacle_though_the_number_is_read() -> None:
    millis = record(field("a", {"type": "long", "logicalType": "timestamp-millis"}))
    micros = record(field("a", {"type": "long", "logicalType": "timestamp-micros"}))
    plain = record(field("a", "long"))
    assert obstacles(micros, millis) == [Obstacle("a", "timestamp-millis would be taken for timestamp-micros")]
    assert obstacles(plain, millis) == [Obstacle("a", "timestamp-millis would be taken for long")]
    assert obstacles(millis, millis) == []


@pytest.mark.parametrize(
    "broken",
    [
        record(field("a", "int", default="one")),
        record(field("a", enum("x", default="y"))),
        record(field("a", "n.Nowhere")),
    ],
)
def test_a_schema_that_is_none_is_refused(broken: Any) -> None:
    with pytest.raises((SchemaParseException, UnknownType)):
        obstacles(record(), broken)

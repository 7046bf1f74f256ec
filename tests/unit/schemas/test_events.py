"""The records and the Avro schemas say the same, field by field."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from importlib import resources
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from schemas import events
from schemas.codec import schema_name
from schemas.events import RECORDS, FloatArray
from schemas.topics import TOPICS
from tests.unit.schemas.records import EXAMPLES, FEATURES

PLAIN = {str: "string", float: "double", bytes: "bytes", bool: "boolean"}


def schema_of(kind: type[Any]) -> dict[str, Any]:
    text = (resources.files("schemas.avro") / f"{schema_name(kind)}.avsc").read_text()
    schema: dict[str, Any] = json.loads(text)
    return schema


def agree(hint: Any, node: Any, known: dict[str, Any]) -> None:
    """Assert that a field's annotation and its Avro type are two spellings of one thing."""
    node = known.get(node, node) if isinstance(node, str) else node
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (inner,) = [a for a in arguments if a is not NoneType]
        assert node[0] == "null"
        agree(inner, node[1], known)
    elif origin is tuple:
        assert (arguments[1], node["type"]) == (Ellipsis, "array")
        agree(arguments[0], node["items"], known)
    elif origin is Mapping:
        assert (arguments, node) == ((str, bytes), {"type": "map", "values": "bytes"})
    elif origin is np.ndarray:
        known["FloatArray"] = node
        assert node["name"] == "FloatArray"
        assert [field["name"] for field in node["fields"]] == ["dtype", "shape", "data"]
    elif hint is int:
        assert node in {"int", "long"}
    elif hint is datetime:
        assert node == {"type": "long", "logicalType": "timestamp-millis"}
    elif is_dataclass(hint):
        agree_on_fields(hint, node, known)
    elif isinstance(hint, type) and issubclass(hint, StrEnum):
        assert (node["type"], node["name"]) == ("enum", hint.__name__)
        assert node["symbols"] == [member.value for member in hint]
    else:
        assert node == PLAIN[hint]


def agree_on_fields(kind: Any, schema: dict[str, Any], known: dict[str, Any]) -> None:
    assert (schema["type"], schema["name"]) == ("record", kind.__name__)
    hints = get_type_hints(kind, localns={"FloatArray": FloatArray})
    assert [field["name"] for field in schema["fields"]] == [field.name for field in fields(kind)]
    for field in schema["fields"]:
        agree(hints[field["name"]], field["type"], known)


@pytest.mark.parametrize("kind", RECORDS)
def test_records_and_schemas_name_the_same_fields_in_order_with_the_same_types(kind: type[Any]) -> None:
    schema = schema_of(kind)
    assert schema["namespace"] == "undertone.v1"
    agree_on_fields(kind, schema, {})


@pytest.mark.parametrize("kind", RECORDS)
def test_what_is_optional_in_a_record_has_the_same_default_on_the_wire(kind: type[Any]) -> None:
    in_code = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
    on_wire = {f["name"]: f["default"] for f in schema_of(kind)["fields"] if "default" in f}
    assert {name: () if value == [] else value for name, value in on_wire.items()} == in_code


def documented(node: Any) -> list[bool]:
    if isinstance(node, dict):
        own = ["doc" in node] if "name" in node else []
        return own + [d for value in node.values() for d in documented(value)]
    return [d for value in node for d in documented(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("kind", RECORDS)
def test_every_type_and_field_is_documented_for_other_languages(kind: type[Any]) -> None:
    assert all(documented(schema_of(kind)))


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_records_are_frozen_and_slotted(record: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(record, fields(record)[0].name, "other")
    assert not hasattr(record, "__dict__")


def test_every_record_has_its_topic() -> None:
    assert tuple(topic.record for topic in TOPICS) == RECORDS
    assert set(get_args(events.Record)) == set(RECORDS)


def test_features_are_equal_by_value_with_nan_equal_to_nan() -> None:
    assert replace(FEATURES, summary=FEATURES.summary.copy()) == FEATURES
    assert replace(FEATURES, summary=np.array([1.5, 0.0], np.float32)) != FEATURES
    assert replace(FEATURES, windows=FEATURES.windows.reshape(3, 2)) != FEATURES
    assert replace(FEATURES, memo_id="other") != FEATURES
    assert FEATURES != "features"


def test_features_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, d\) and \(d,\) expected"):
        replace(FEATURES, windows=FEATURES.windows[0])
    with pytest.raises(ValueError, match=r"\(n, d\) and \(d,\) expected"):
        replace(FEATURES, summary=FEATURES.summary[None])
    with pytest.raises(ValueError, match="1 names for 2 features"):
        replace(FEATURES, names=("jitter",))
    assert replace(FEATURES, names=()).names == ()

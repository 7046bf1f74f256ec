"""The Avro schemas state the limits, and stay the schemas that they are."""

import json
from typing import Any

import pytest
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

from schemas.limits import FIELDS
from schemas.limits_in_avro import KEYWORDS, annotated, schema_files, text_of

NAMES = sorted(schema_files())


def read(name: str) -> Any:
    return json.loads(schema_files()[name].read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_in_the_tree_state_todays_limits(name: str) -> None:
    assert schema_files()[name].read_text() == text_of(schema_files()[name])
    schema = read(name)
    assert annotated(annotated(schema)) == schema
    limits = next(limits for kind, limits in FIELDS.items() if kind.__name__ == schema["name"])
    for field in schema["fields"]:
        limit = limits.get(field["name"])
        if limit is not None and limit.part is None:
            assert field["doc"].endswith(f" Must be {limit.rule}.")
            assert {key: field[key] for key in KEYWORDS & set(field)} == dict(limit.keywords)


@pytest.mark.parametrize("name", NAMES)
def test_limits_are_no_part_of_a_fingerprint(name: str) -> None:
    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: bare(value) for key, value in node.items() if key not in KEYWORDS | {"doc"}}
        return [bare(each) for each in node] if isinstance(node, list) else node

    def number(schema: Any) -> str:
        return str(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))

    assert number(read(name)) == number(bare(read(name)))
    parse_schema(read(name))


def test_limits_of_nested_records_are_stated_and_old_ones_replaced() -> None:
    schema = {
        "type": "record",
        "name": "RiskScored",
        "fields": [
            {"name": "memo_id", "type": "string", "doc": "Id. Must be short.", "maxLength": 3, "minItems": 1},
            {"name": "other", "type": "string", "doc": "A field of a newer version."},
        ],
    }
    memo, other = annotated(schema)["fields"]
    assert memo["doc"] == "Id. Must be 1 to 128 bytes, printable, without spaces at the ends."
    assert memo["maxLength"] == 128
    assert "minItems" not in memo
    assert other == schema["fields"][1]
    quality = next(f for f in read("memo_features.avsc")["fields"] if f["name"] == "quality")
    clipped = next(f for f in quality["type"]["fields"] if f["name"] == "clipped")
    assert (clipped["minimum"], clipped["maximum"]) == (0, 1)

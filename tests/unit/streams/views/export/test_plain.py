"""Records as JSON: published names, features by name, and nothing that a terminal obeys."""

import json
from dataclasses import fields, replace

import pytest

from schemas.json_records import to_plain
from streams.views.export.plain import as_array, plain
from tests.unit.schemas.records import DEAD, EXAMPLES, FEATURES
from tests.unit.streams.views.export.held import CODEC, NOTE, records


@pytest.mark.parametrize("record", EXAMPLES)
def test_every_field_has_its_published_name(record: object) -> None:
    names = {each.name for each in fields(record)}  # type: ignore[arg-type]
    assert names - set(plain(record, CODEC)) == ({"names"} if record is FEATURES else set())


def test_features_have_names_and_values_and_windows_are_counted() -> None:
    found = plain(FEATURES, CODEC)
    assert found["summary"] == {"jitter": 1.5, "shimmer": None}
    assert found["windows"] == {"number": 2, "features": 3}
    embedding = records()["memos.features"][1]
    assert plain(embedding, CODEC)["summary"] == [1.5, None]


def test_a_dead_letter_says_what_its_bytes_say() -> None:
    decoded, other = (plain(letter, CODEC) for letter in records()["memos.dead"])
    assert decoded["value"] is None
    assert decoded["record"]["memo_id"] == "failed"  # type: ignore[index,call-overload]
    assert decoded["record"]["summary"] == {"jitter": 1.5, "shimmer": None}  # type: ignore[index,call-overload]
    assert other["value"] == to_plain(DEAD.value)
    assert plain(replace(DEAD, key=b"\xff"), CODEC)["key"] == "\\xff"


def test_an_array_has_a_line_for_each_record_and_is_printable() -> None:
    text = as_array([{"note": NOTE}, {"note": "é"}])
    assert [each["note"] for each in json.loads(text)] == [NOTE, "é"]
    assert all(line.isprintable() for line in text.splitlines())
    assert json.loads(as_array([])) == []

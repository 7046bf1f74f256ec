"""Records as JSON: strict JSON, whatever stands in a record."""

import json
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given

from schemas.events import AlertState, Modality, Record
from schemas.json_records import Json, to_json, to_plain
from tests.unit.schemas.records import AT, DEAD, FEATURES, SCORED, records


class Colour(Enum):
    GREEN = "green"


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


@given(records)
def test_every_record_is_one_line_that_a_strict_parser_reads(record: Record) -> None:
    line = to_json(record)
    assert not {"\n", "\r"} & {*line}
    assert [*json.loads(line, parse_constant=refuse)] == [field.name for field in fields(record)]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (2**40, 2**40),
        (0.25, 0.25),
        (float("nan"), None),
        (float("-inf"), None),
        ("Köln", "Köln"),
        (Modality.ACOUSTIC, "acoustic"),
        (Colour.GREEN, "green"),
        (b"\x00\xff", "00ff"),
        (np.array([[1.5, np.nan]], np.float32), [[1.5, None]]),
        ((AlertState.RAISED, (1, 2)), ["raised", [1, 2]]),
        ({Modality.EMBEDDING: {1: b""}}, {"embedding": {"1": ""}}),
    ],
)
def test_every_value_has_one_json_form(value: object, plain: Json) -> None:
    assert to_plain(value) == plain
    assert type(to_plain(value)) is type(plain)


def test_times_are_utc_with_milliseconds() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    assert to_plain(elsewhere) == to_plain(AT) == "2026-03-01T12:30:15.250Z"
    assert datetime.fromisoformat(str(to_plain(AT))) == AT


def test_nested_records_keep_their_field_names() -> None:
    scored = json.loads(to_json(SCORED))
    first = {"name": "pause_share", "value": 0.4, "deviation_sd": 1.5, "fragile": False}
    assert scored["evidence"][0] == first | {"contribution": None, "usual": None}
    assert json.loads(to_json(FEATURES))["summary"] == [1.5, None]
    assert json.loads(to_json(DEAD))["headers"] == {"ce_id": b"memo-1".hex()}


def test_letters_beyond_ascii_are_written_as_they_are() -> None:
    assert to_json({"place": "Köln"}) == '{"place": "Köln"}'


@pytest.mark.parametrize("value", [{1, 2}, object(), Modality, np.float32(1), FEATURES.__class__])
def test_a_value_without_a_json_form_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(TypeError, match=f"a {type(value).__name__} has no JSON form"):
        to_plain(value)


HOSTILE = ["\x1b[2J", "\x9b31m", "a\nb", "\u202eanna", "\u2028", "\ud800", "\U000e0001", "\x7f", "Köln 中 [/x]"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_json_is_printable_and_means_the_same(text: str) -> None:
    line = to_json({text: [text]})
    assert line.isprintable()
    assert json.loads(line) == {text: [text]}

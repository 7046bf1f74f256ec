import contextlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from importlib import resources
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import numpy as np
import pytest
from fastavro.schema import fingerprint
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Codec, DecodeError, schema_name
from schemas.events import RECORDS, AlertKind, MemoFeatures, MemoUploaded, Modality, Record, RiskAlert
from tests.unit.schemas.records import ALERT, AT, DEAD, EXAMPLES, FEATURES, UPLOADED, records

CODEC = Codec()

# Computed by Avro's Java library, from share/test/data/schema-tests.txt of the Avro project.
FINGERPRINTS = {
    '"null"': 7195948357588979594,
    '"boolean"': -6970731678124411036,
    '"int"': 8247732601305521295,
    '"long"': -3434872931120570953,
    '"float"': 5583340709985441680,
    '"double"': -8181574048448539266,
    '"bytes"': 5746618253357095269,
    '"string"': -8142146995180207161,
}


class MemoryRegistry:
    """Ids and schemas as a registry keeps them."""

    def __init__(self) -> None:
        self.schemas: list[str] = []
        self.subjects: list[str] = []

    def id_of(self, subject: str, schema: str) -> int:
        self.subjects.append(subject)
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 258

    def schema_of(self, schema_id: int) -> str:
        return self.schemas[schema_id - 258]


def crc64_avro(data: bytes) -> int:
    """The bitwise definition of the Avro specification, "Schema Fingerprints"."""
    empty = 0xC15D213AA4D7A795
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
        table.append(value)
    result = empty
    for byte in data:
        result = (result >> 8) ^ table[(result ^ byte) & 0xFF]
    return result


@given(records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    back = CODEC.decode(CODEC.encode(record), type(record))
    assert back == record
    assert CODEC.encode(back) == CODEC.encode(record)


@given(records)
def test_a_record_comes_back_through_a_registry(record: Record) -> None:
    registry = MemoryRegistry()
    data = Codec(registry).encode(record, "topic-value")
    assert registry.subjects == ["topic-value"]
    assert Codec(registry).decode(data, type(record)) == record
    assert CODEC.encode(record)[10:] == data[5:]


@pytest.mark.parametrize(("schema", "number"), FINGERPRINTS.items())
def test_fingerprints_are_those_of_avro(schema: str, number: int) -> None:
    assert crc64_avro(schema.encode()) == number % 2**64
    assert bytes.fromhex(fingerprint(schema, "CRC-64-AVRO")) == struct.pack("<q", number)


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_a_single_object_has_magic_little_endian_fingerprint_and_body(record: Record) -> None:
    data = CODEC.encode(record)
    schema = json.loads((resources.files("schemas.avro") / f"{schema_name(type(record))}.avsc").read_text())
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    assert data[:2] == b"\xc3\x01"
    assert struct.unpack("<Q", data[2:10])[0] == crc64_avro(canonical.encode())
    body = fastavro.schemaless_reader(BytesIO(data[10:]), fastavro.parse_schema(schema), None)
    assert set(body) == {field["name"] for field in schema["fields"]}


def test_registry_framing_is_magic_and_big_endian_id() -> None:
    assert Codec(MemoryRegistry()).encode(UPLOADED, "s")[:5] == b"\x00\x00\x00\x01\x02"


def test_either_framing_is_read_whatever_is_written() -> None:
    codec = Codec(MemoryRegistry())
    assert codec.decode(CODEC.encode(UPLOADED), MemoUploaded) == UPLOADED
    with pytest.raises(DecodeError, match="SCHEMA_REGISTRY_URL is not set"):
        CODEC.decode(codec.encode(UPLOADED, "s"), MemoUploaded)


@pytest.mark.parametrize("kind", RECORDS)
def test_every_released_version_is_read(kind: type[Any]) -> None:
    example = next(e for e in EXAMPLES if type(e) is kind)
    history = resources.files("schemas.avro") / "history"
    versions = [json.loads(p.read_text()) for p in history.iterdir() if p.name.startswith(f"{schema_name(kind)}.")]
    assert versions
    plain = fastavro.schemaless_reader(BytesIO(CODEC.encode(example)[10:]), current(kind), None)
    for version in versions:
        out = BytesIO()
        written = {field["name"]: plain[field["name"]] for field in version["fields"]}
        fastavro.schemaless_writer(out, fastavro.parse_schema(version), written)
        prefix = struct.pack(
            "<2sQ", b"\xc3\x01", crc64_avro(fastavro.schema.to_parsing_canonical_form(version).encode())
        )
        assert isinstance(CODEC.decode(prefix + out.getvalue(), kind), kind)


def current(kind: type[Any]) -> Any:
    return fastavro.parse_schema(
        json.loads((resources.files("schemas.avro") / f"{schema_name(kind)}.avsc").read_text())
    )


def test_a_symbol_that_a_newer_writer_knows_reads_as_unknown() -> None:
    for record, field, kind, unknown in (
        (FEATURES, "modality", MemoFeatures, Modality.UNKNOWN),
        (ALERT, "kind", RiskAlert, AlertKind.UNKNOWN),
    ):
        schema = json.loads((resources.files("schemas.avro") / f"{schema_name(kind)}.avsc").read_text())
        symbols = next(f for f in schema["fields"] if f["name"] == field)["type"]["symbols"]
        symbols[symbols.index(getattr(record, field))] = "brand_new"
        registry = MemoryRegistry()
        frame = struct.pack(">bI", 0, registry.id_of("s", json.dumps(schema)))
        decoded = Codec(registry).decode(frame + CODEC.encode(record)[10:], kind)
        assert getattr(decoded, field) is unknown


@pytest.mark.parametrize("codec", [CODEC, Codec(MemoryRegistry())], ids=["fingerprint", "registry"])
@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_a_record_of_todays_schema_is_read_without_resolving_it(
    codec: Codec, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, same = fastavro.schemaless_reader, []

    def reader(body: BytesIO, written: Any, wanted: Any) -> Any:
        same.append(written == wanted)
        return read(body, written, wanted)

    monkeypatch.setattr(fastavro, "schemaless_reader", reader)
    codec.decode(codec.encode(record, "s"), type(record))
    assert same == [True]


def test_half_precision_travels_in_half_the_bytes_and_arrives_as_single() -> None:
    windows = np.array([[0.5, 65504.0, -0.0]], np.float16)
    half = replace(FEATURES, windows=windows)  # type: ignore[arg-type]
    single = replace(FEATURES, windows=windows.astype(np.float32))
    back = CODEC.decode(CODEC.encode(half), MemoFeatures)
    assert back == single
    assert back.windows.dtype == np.float32
    assert len(CODEC.encode(single)) - len(CODEC.encode(half)) == 2 * windows.size


def test_arrays_arrive_writable_and_row_by_row() -> None:
    back = CODEC.decode(CODEC.encode(replace(FEATURES, windows=np.asfortranarray(FEATURES.windows))), MemoFeatures)
    assert back == FEATURES
    back.windows[0, 0] = 1.0


def test_times_travel_as_utc_milliseconds() -> None:
    west = replace(UPLOADED, recorded_at=AT.astimezone(timezone(timedelta(hours=-8))) + timedelta(microseconds=999))
    back = CODEC.decode(CODEC.encode(west), MemoUploaded)
    assert back.recorded_at == AT
    assert back.recorded_at.tzinfo is UTC
    early = replace(UPLOADED, recorded_at=datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC))
    assert CODEC.decode(CODEC.encode(early), MemoUploaded) == early
    with pytest.raises(ValueError, match="without a zone"):
        CODEC.encode(replace(UPLOADED, recorded_at=datetime(2026, 3, 1)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "empty value"),
        (b"", "empty value"),
        (b"{}", "first byte 0x7b"),
        (b"\x00", "first byte 0x00"),
        (b"\x00\x00\x00\x01", "first byte 0x00"),
        (b"\xc3", "first byte 0xc3"),
        (b"\xc3\x02" + CODEC.encode(UPLOADED)[2:], "first byte 0xc3"),
        (b"\xc3\x01", "fingerprint missing"),
        (b"\xc3\x01\x01\x02\x03", "fingerprint 010203 is not a released version of MemoUploaded"),
        (CODEC.encode(DEAD), "is not a released version of MemoUploaded"),
        (CODEC.encode(UPLOADED)[:10], "not a MemoUploaded"),
        (CODEC.encode(UPLOADED)[:-1], "not a MemoUploaded"),
        (CODEC.encode(UPLOADED) + b"\x00", "bytes left over after a MemoUploaded"),
        (CODEC.encode(UPLOADED)[:10] + b"\x02\xff" + CODEC.encode(UPLOADED)[12:], "not a MemoUploaded"),
    ],
)
def test_what_is_no_record_is_reported(data: bytes | None, message: str) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        CODEC.decode(data, MemoUploaded)
    assert "user-1" not in str(caught.value)


Spoil = Callable[[dict[str, Any]], object]
SPOILED: list[tuple[str, Spoil]] = [
    ("too few bytes", lambda f: f["windows"].update(data=b"\x00" * 20)),
    ("half a number", lambda f: f["windows"].update(data=b"\x00" * 23)),
    ("another shape", lambda f: f["windows"].update(shape=[4, 2])),
    ("a negative length", lambda f: f["windows"].update(shape=[-1, 3])),
    ("lengths that overflow", lambda f: f["windows"].update(shape=[2**31 - 1] * 4)),
    ("a row where a table belongs", lambda f: f["windows"].update(shape=[6])),
    ("a table where a row belongs", lambda f: f["summary"].update(shape=[1, 2])),
    ("another number of names", lambda f: f.update(names=["jitter"])),
    ("a time past every calendar", lambda f: f.update(recorded_at=2**62)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil"), SPOILED, ids=[s[0] for s in SPOILED])
def test_values_that_cannot_be_are_reported(name: str, spoil: Spoil) -> None:
    # Without its logical types the schema writes whatever number it is given.
    schema = json.loads((resources.files("schemas.avro") / "memo_features.avsc").read_text())
    plain_schema = json.loads(json.dumps(schema).replace(', "logicalType": "timestamp-millis"', ""))
    body = BytesIO(CODEC.encode(FEATURES)[10:])
    value: dict[str, Any] = fastavro.schemaless_reader(body, fastavro.parse_schema(plain_schema), None)
    spoil(value)
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain_schema), value)
    with pytest.raises(DecodeError):
        CODEC.decode(CODEC.encode(FEATURES)[:10] + out.getvalue(), MemoFeatures)


@given(record=records, data=st.data())
def test_bit_rot_never_escapes_as_another_error(record: Record, data: st.DataObject) -> None:
    encoded = bytearray(CODEC.encode(record))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(10, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(10, len(encoded)))
    with contextlib.suppress(DecodeError):
        assert type(CODEC.decode(bytes(encoded[:cut]), type(record))) is type(record)


@given(st.binary(max_size=200), st.sampled_from(RECORDS))
def test_noise_is_a_decode_error_or_a_record(noise: bytes, kind: type[Any]) -> None:
    example = next(e for e in EXAMPLES if type(e) is kind)
    for data in (noise, CODEC.encode(example)[:10] + noise):
        with contextlib.suppress(DecodeError):
            assert isinstance(CODEC.decode(data, kind), kind)


LOGICAL: list[tuple[str, Any, object]] = [
    ("memo_id", {"type": "string", "logicalType": "uuid"}, UUID(int=7)),
    ("user_id", {"type": "bytes", "logicalType": "decimal", "precision": 9}, Decimal(12345)),
    ("memo_id", {"type": "int", "logicalType": "date"}, 7),
    ("user_id", ["null", {"type": "string", "logicalType": "uuid"}], UUID(int=9)),
    ("audio_uri", {"type": "fixed", "name": "F", "size": 4}, b"abcd"),
    ("recorded_at", "long", 7),
    ("recorded_at", {"type": "long", "logicalType": "local-timestamp-millis"}, datetime(2026, 3, 1)),
    ("recorded_at", {"type": "long", "logicalType": "timestamp-micros"}, AT),
]


@pytest.mark.parametrize(("field", "written", "value"), LOGICAL)
def test_a_writers_type_never_changes_what_a_field_is(field: str, written: Any, value: object) -> None:
    schema = json.loads((resources.files("schemas.avro") / "memo_uploaded.avsc").read_text())
    next(f for f in schema["fields"] if f["name"] == field)["type"] = written
    registry = MemoryRegistry()
    frame = struct.pack(">bI", 0, registry.id_of("s", json.dumps(schema)))
    body = BytesIO()
    plain = {name: getattr(UPLOADED, name) for name in MemoUploaded.__slots__}
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), {**plain, field: value})
    try:
        decoded = Codec(registry).decode(frame + body.getvalue(), MemoUploaded)
    except DecodeError:
        return
    assert type(getattr(decoded, field)) is type(getattr(UPLOADED, field))
    assert CODEC.decode(CODEC.encode(decoded), MemoUploaded) == decoded
    if isinstance(value, UUID):
        assert getattr(decoded, field) == str(value)


def test_the_schema_of_another_record_with_the_same_fields_is_refused() -> None:
    schema = json.loads((resources.files("schemas.avro") / "memo_uploaded.avsc").read_text())
    for change in ({"name": "AnyRecord"}, {"namespace": "elsewhere"}, {"name": "elsewhere.MemoUploaded"}):
        registry = MemoryRegistry()
        frame = struct.pack(">bI", 0, registry.id_of("any-value", json.dumps({**schema, **change})))
        with pytest.raises(DecodeError, match=r"not of the record undertone\.v1\.MemoUploaded"):
            Codec(registry).decode(frame + CODEC.encode(UPLOADED)[10:], MemoUploaded)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("items", ["boolean", "float", "double", {"type": "fixed", "name": "F", "size": 16}])
def test_values_that_are_claimed_and_not_there_are_not_waited_for(items: Any) -> None:
    schema = json.loads((resources.files("schemas.avro") / "memo_uploaded.avsc").read_text())
    schema["fields"].append({"name": "more", "type": {"type": "array", "items": items}})
    registry = MemoryRegistry()
    frame = struct.pack(">bI", 0, registry.id_of("s", json.dumps(schema)))
    a_billion = b"\x80\xa8\xd6\xb9\x07"
    for tail in (a_billion, a_billion + b"\0" * 100):
        with pytest.raises(DecodeError):
            Codec(registry).decode(frame + CODEC.encode(UPLOADED)[10:] + tail, MemoUploaded)


@given(record=records, data=st.data())
def test_bit_rot_in_a_registrys_framing_never_escapes_either(record: Record, data: st.DataObject) -> None:
    registry = MemoryRegistry()
    encoded = bytearray(Codec(registry).encode(record, "s"))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(5, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodeError):
        decoded = Codec(registry).decode(bytes(encoded), type(record))
        assert CODEC.encode(decoded)  # what was read can be written

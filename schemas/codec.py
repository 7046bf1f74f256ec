"""Records to Avro bytes and back.

Two framings, told apart by the first byte. With a schema registry: Confluent's (`0x00`, four bytes of schema id,
big-endian). Without: Avro single-object encoding (`0xC3 0x01`, eight bytes of CRC-64-AVRO fingerprint, little-endian)
against the committed schemas.
Sources: Confluent wire format; Avro 1.12 specification, "Single-object encoding".
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, partial
from importlib import resources
from io import BytesIO
from math import prod
from types import NoneType, UnionType
from typing import Any, Protocol, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

import fastavro
import numpy as np
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.avro_values import ValueCount, ValuesError
from schemas.events import RECORDS, FloatArray, Record
from schemas.limits import RECORD_VALUES, LimitError, check, check_size
from schemas.writer_schemas import SchemaError, WriterSchema, released, vetted

CONFLUENT_MAGIC = b"\x00"
SINGLE_OBJECT_MAGIC = b"\xc3\x01"
AXES = 2
"""Maximum axes of an array."""

Schema = dict[str, Any]
R = TypeVar("R")
Kind: TypeAlias = Any
"""A record type or the annotation of one of its fields."""


class DecodeError(ValueError):
    """The bytes are not a record of the expected kind; the message gives the rule that they break."""


class Registry(Protocol):
    """A schema registry: the id of a schema (JSON text) under a subject, and the schema behind an id.

    Both are called for every record, so both must cache. Both may raise Transient and ConfigurationError.
    """

    def id_of(self, subject: str, schema: str) -> int:
        """Id of `schema` under `subject`, registered if it is new."""

    def schema_of(self, schema_id: int) -> str:
        """The schema behind `schema_id`. Raises DecodeError when the registry has none."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Encodes with one framing, decodes both, within `schemas/limits.py`. registry: None for single-object encoding."""

    registry: Registry | None = None

    def encode(self, record: Record, subject: str = "") -> bytes:
        """The record in its frame. subject: registry subject, `<topic>-value` by Confluent's topic naming strategy.

        Raises LimitError, a ValueError, when a field is outside of its limit.
        """
        kind: Kind = type(record)
        plain = _encoder(kind)(record)
        check(record)
        if self.registry is None:
            frame = SINGLE_OBJECT_MAGIC + _fingerprint(kind)
        else:
            frame = CONFLUENT_MAGIC + struct.pack(">I", self.registry.id_of(subject, schema_text(kind)))
        out = BytesIO()
        out.write(frame)
        fastavro.schemaless_writer(out, _schema(kind).parsed, plain)
        check_size(kind, out.tell())
        return out.getvalue()

    def decode(self, data: bytes | None, record: type[R]) -> R:
        """The record of type `record` in `data`, whichever framing it has.

        Raises DecodeError for any other bytes, and for a record outside of its limits; with a registry also Transient
        and ConfigurationError. Takes time and memory in proportion to the bytes, whatever they are.
        """
        kind: Kind = record
        data = data or b""
        own, (writer, start) = _schema(kind), self._writer(data, kind)
        body = BytesIO(data)
        body.seek(start)
        try:
            check_size(kind, len(data))
            # Each value takes a byte at least. In fields that only the writer's schema has, fastavro skips values that
            # are not there, as many as a count claims.
            if len(data) > RECORD_VALUES or writer is not own:
                ValueCount(data, start, writer.types, RECORD_VALUES).walk(writer.parsed)
            decoded = _decoder(kind)(fastavro.schemaless_reader(body, writer.parsed, own.parsed))
            check(decoded)
        except (LimitError, ValuesError) as error:
            raise DecodeError(str(error)) from error
        except DecodeError:
            raise
        except Exception as error:  # fastavro raises many kinds of errors on invalid bytes
            raise DecodeError(f"not a {kind.__name__}: {type(error).__name__}") from error
        if body.read(1):
            raise DecodeError(f"bytes left over after a {kind.__name__}")
        return cast("R", decoded)

    def _writer(self, data: bytes, kind: Kind) -> tuple[WriterSchema, int]:
        """The schema that `data` was written with, and where its body starts."""
        if not data:
            raise DecodeError("empty value: expected an Avro record")
        if data[:2] == SINGLE_OBJECT_MAGIC:
            writer = _known(kind).get(data[2:10])
            if writer is None:
                found = data[2:10].hex() or "missing"
                raise DecodeError(f"schema fingerprint {found} is not a released version of {kind.__name__}")
            return writer, 10
        if data[:1] != CONFLUENT_MAGIC or len(data) < 5:
            raise DecodeError(f"first byte 0x{data[0]:02x} is neither registry framing nor single-object encoding")
        if self.registry is None:
            raise DecodeError("registry framing, but SCHEMA_REGISTRY_URL is not set")
        (schema_id,) = struct.unpack(">I", data[1:5])
        try:
            return vetted(self.registry.schema_of(schema_id), _schema(kind)), 5
        except SchemaError as error:
            raise DecodeError(f"not a {kind.__name__}: the registry's Avro schema cannot be used: {error}") from error


def schema_name(kind: Kind) -> str:
    """Stem of the `.avsc` file of a record: `MemoUploaded` → `memo_uploaded`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")


@cache
def _source(kind: Kind) -> Schema:
    return cast("Schema", json.loads((resources.files("schemas.avro") / f"{schema_name(kind)}.avsc").read_text()))


@cache
def schema_text(kind: Kind) -> str:
    """Today's schema of a record type, as a registry gets it."""
    return json.dumps(_source(kind), separators=(",", ":"))


@cache
def _schema(kind: Kind) -> WriterSchema:
    return released(_source(kind))


@cache
def _fingerprint(kind: Kind) -> bytes:
    return fingerprint_of(_source(kind))


def fingerprint_of(schema: Schema) -> bytes:
    """CRC-64-AVRO of a schema's parsing canonical form, in the byte order of the frame."""
    # fastavro gives the little-endian bytes of the number as hex.
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


@cache
def _known(kind: Kind) -> Mapping[bytes, WriterSchema]:
    """Writer schemas by fingerprint: today's, and every released version in `schemas/avro/history`."""
    history = resources.files("schemas.avro") / "history"
    versions = [json.loads(p.read_text()) for p in history.iterdir() if p.name.startswith(f"{schema_name(kind)}.")]
    known = {fingerprint_of(schema): released(schema) for schema in versions}
    # The newest version differs from today's in what it says of limits, so fastavro would resolve one to the other.
    return {**known, _fingerprint(kind): _schema(kind)}


def _encode_array(value: np.ndarray) -> dict[str, object]:
    half = value.dtype == np.float16
    data = np.ascontiguousarray(value, dtype="<f2" if half else "<f4").tobytes()
    return {"dtype": "float16" if half else "float32", "shape": list(value.shape), "data": data}


def _decode_array(value: Mapping[str, Any]) -> np.ndarray:
    half, shape, data = value["dtype"] == "float16", value["shape"], value["data"]
    if len(shape) > AXES:
        raise DecodeError(f"array of {len(shape):,} axes: at most {AXES} are supported")
    # NumPy reads a negative length as "whatever is left".
    if min(shape, default=0) < 0 or len(data) != prod(shape) * (2 if half else 4):
        raise DecodeError(f"array of {len(data):,} bytes does not have the shape that it declares")
    return np.frombuffer(data, dtype="<f2" if half else "<f4").reshape(shape).astype(np.float32)


def _decode_time(value: datetime) -> datetime:
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _encode_time(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time without a zone: records carry aware UTC datetimes")
    return value


Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _each(convert: Convert, value: Any) -> list[Any]:
    return [convert(v) for v in value]


def _each_tuple(convert: Convert, value: Any) -> tuple[Any, ...]:
    return tuple(map(convert, value))


def _maybe(convert: Convert, value: Any) -> Any:
    return None if value is None else convert(value)


@cache
def _encoder(kind: Kind) -> Convert:
    """A function that turns a value of the annotated type `kind` into what fastavro writes."""
    match _shape(kind):
        case ("optional", inner):
            return partial(_maybe, _encoder(inner))
        case ("tuple", inner):
            convert = _encoder(inner)
            return _same if convert is _same else partial(_each, convert)
        case ("record", _):
            members = [(name, _encoder(hint)) for name, hint in _hints(kind).items()]
            return lambda record: {name: convert(getattr(record, name)) for name, convert in members}
        case ("array", _):
            return _encode_array
        case ("time", _):
            return _encode_time
    return _same


@cache
def _decoder(kind: Kind) -> Convert:
    """The inverse of `_encoder`."""
    match _shape(kind):
        case ("optional", inner):
            return partial(_maybe, _decoder(inner))
        case ("tuple", inner):
            convert = _decoder(inner)
            return tuple if convert is _same else partial(_each_tuple, convert)
        case ("record", _):
            return _record_decoder(kind)
        case ("enum", _):
            return cast("Convert", kind)
        case ("array", _):
            return _decode_array
        case ("time", _):
            return _decode_time
    return _same


def _record_decoder(kind: Kind) -> Convert:
    decoders = {name: _decoder(hint) for name, hint in _hints(kind).items()}
    names = tuple(decoders)
    converted = [(place, decode) for place, decode in enumerate(decoders.values()) if decode is not _same]

    def decode_record(value: Mapping[str, Any]) -> Any:
        found = [value[name] for name in names]
        for place, decode in converted:
            found[place] = decode(found[place])
        return kind(*found)

    return decode_record


def _hints(kind: Kind) -> dict[str, Any]:
    hints = get_type_hints(kind, localns={"FloatArray": FloatArray})
    return {f.name: hints[f.name] for f in fields(kind)}


def _shape(kind: Kind) -> tuple[str, Any]:
    origin: Any = get_origin(kind)
    args = get_args(kind)
    if origin is UnionType:
        return "optional", next(a for a in args if a is not NoneType)
    if origin is tuple:
        return "tuple", args[0]
    if origin is np.ndarray:
        return "array", None
    if isinstance(kind, type):
        if is_dataclass(kind):
            return "record", kind
        if issubclass(kind, StrEnum):
            return "enum", kind
        if issubclass(kind, datetime):
            return "time", kind
    return "plain", kind


__all__ = ["RECORDS", "Codec", "DecodeError", "Registry", "schema_name"]

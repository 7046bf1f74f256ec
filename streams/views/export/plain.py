"""Records of a person as JSON, in the field names of their Avro schemas. Pure."""

from collections.abc import Iterable
from dataclasses import fields

from schemas.codec import Codec
from schemas.events import DeadLetter, MemoFeatures
from schemas.json_records import Json, json_line, to_plain
from streams.views.outcomes import recorded_memo

WHOLE = {"windows", "summary", "names"}
"""Fields of MemoFeatures that are shown by name and value instead."""


def plain(record: object, codec: Codec) -> dict[str, Json]:
    """One record. What only machines read is said in other fields: features by name, a dead letter's bytes decoded."""
    if isinstance(record, MemoFeatures):
        return _features(record)
    if isinstance(record, DeadLetter):
        return _letter(record, codec)
    found = to_plain(record)
    assert isinstance(found, dict)
    return found


def _features(record: MemoFeatures) -> dict[str, Json]:
    """Features by name, or in their order where they have no names; of the windows how many there are."""
    kept = {each.name: to_plain(getattr(record, each.name)) for each in fields(record) if each.name not in WHOLE}
    values = [to_plain(float(value)) for value in record.summary]
    named: Json = dict(zip(record.names, values, strict=True)) if record.names else values
    windows, features = record.windows.shape
    return {**kept, "summary": named, "windows": {"number": windows, "features": features}}


def _letter(record: DeadLetter, codec: Codec) -> dict[str, Json]:
    """A dead letter; `record` is what its bytes say, and `value` the bytes where they cannot be decoded."""
    kept = {each.name: to_plain(getattr(record, each.name)) for each in fields(record)}
    inner = recorded_memo(record, codec)
    key = None if record.key is None else record.key.decode(errors="backslashreplace")
    headers: Json = {name: value.decode(errors="backslashreplace") for name, value in record.headers.items()}
    said = {**kept, "key": key, "headers": headers}
    return said if inner is None else {**said, "value": None, "record": plain(inner, codec)}


def as_array(records: Iterable[object]) -> str:
    """An array, a record on each line; what is not printable is escaped."""
    lines = ",\n".join(json_line(record) for record in records)
    return f"[\n{lines}\n]\n" if lines else "[]\n"

"""`docs/limits.md`: the limits of every field of every record."""

from collections.abc import Iterator
from typing import Any

from schemas.events import RECORDS
from schemas.generated_page import page, table
from schemas.limits import FIELDS, RECORD_BYTES, RECORD_VALUES
from schemas.writer_schemas import FIXED_BYTES, SCHEMA_BYTES, SCHEMA_DEPTH, SCHEMA_TYPES, UNION_BRANCHES

INTRODUCTION = f"""\
What Undertone reads and writes, field by field. A record outside of its limits becomes a dead letter with the reason
`event:undecodable` and a detail that names the field and its limit, never the value; `undertone submit` refuses it.
Enums have no row: their symbols are in the Avro schemas. The limits are also in the `doc` and the validation keywords
of the Avro schemas and of [`asyncapi.yaml`](asyncapi.yaml).

*Printable* text has letters and digits, marks and symbols of any script, and spaces: no control or format
characters, no line breaks. *Visible ASCII* is `!` to `~`. Bytes of a text are those of its UTF-8. A record holds at
most {RECORD_VALUES:,} values (numbers, texts, byte strings) at any depth, so that reading one takes time in proportion
to its bytes.

A schema of a registry is used for reading when it is of the record that the topic carries (full name), has at most
{SCHEMA_BYTES:,} bytes, {SCHEMA_DEPTH} levels and {SCHEMA_TYPES:,} types with named ones expanded, is not recursive,
and has no `null` outside of a union, no record without fields, no union of more than {UNION_BRANCHES} branches and no
`fixed` of more than {FIXED_BYTES:,} bytes. Its logical types other than timestamps are ignored: a `uuid` is the string
that it is."""


def limits_page() -> str:
    """The limits as a page."""
    sizes = table(("record", "maximum bytes, encoded"), ((f"`{k.__name__}`", f"{RECORD_BYTES[k]:,}") for k in RECORDS))
    fields = table(("field", "must be"), (row for kind in RECORDS for row in _rows(kind, kind.__name__)))
    return page("Limits of records", INTRODUCTION, sizes, fields)


def _rows(kind: type[Any], path: str) -> Iterator[tuple[str, str]]:
    for name, limit in FIELDS[kind].items():
        at = f"{path}.{name}"
        if limit.part is None:
            yield f"`{at}`", limit.rule
            continue
        if limit.keywords:  # a list
            yield f"`{at}`", limit.rule
            at += "[]"
        yield from _rows(limit.part, at)

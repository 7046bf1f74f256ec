"""The schema that a record was written with: released ones by fingerprint, others as a registry gives them.

A registry's schema is text that anyone may have registered. It is used only after it was found to be the schema of the
expected record, small, not deep, not recursive, and such that every value takes at least a byte: so decoding takes time
in proportion to the bytes. Logical types other than timestamps are dropped, as the Avro specification asks readers to
do with those they do not know: a `uuid` is read as the string that it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from fastavro.schema import SchemaParseException, UnknownType, parse_schema

Node: TypeAlias = Any
"""A schema as JSON has it: a name, a union (list), or an object."""

SCHEMA_BYTES = 64 * 1024
"""Maximum size of a schema as JSON text."""
SCHEMA_DEPTH = 16
"""Maximum depth of types within types, named types expanded."""
SCHEMA_TYPES = 1000
"""Maximum types in a schema, named types expanded: a few that contain each other can expand to billions."""
UNION_BRANCHES = 32
FIXED_BYTES = 64 * 1024

PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
TIMESTAMPS = {"timestamp-millis", "timestamp-micros"}


class SchemaError(ValueError):
    """The schema cannot be used; the message says which rule it breaks, without quoting it."""


@dataclass(frozen=True, slots=True, eq=False)
class WriterSchema:
    """A schema ready for fastavro, and its named types by full name."""

    parsed: Node
    types: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class _Size:
    """How many types a type expands to, and how deep."""

    types: int = 1
    depth: int = 1


def released(schema: Node) -> WriterSchema:
    """A schema of our own."""
    types: dict[str, Node] = {}
    return WriterSchema(parse_schema(schema, named_schemas=types), types)


def vetted(text: str, own: WriterSchema) -> WriterSchema:
    """The registry's schema `text` of the record of `own`; `own` itself where both say the same to a reader.

    fastavro resolves two schemas field by field, which takes twice the time of reading with one. Raises SchemaError
    when the schema breaks a rule.
    """
    found = _vetted(text, own)
    if isinstance(found, str):
        raise SchemaError(found)
    return found


@lru_cache(maxsize=256)
def _vetted(text: str, own: WriterSchema) -> WriterSchema | str:
    """The schema, or why it is refused: both are remembered."""
    if len(text) > SCHEMA_BYTES:
        return f"it is larger than {SCHEMA_BYTES:,} bytes"
    full_name = own.parsed["name"]
    try:
        schema = _Vetting().of(json.loads(text), "", 0)[0]
        if not isinstance(schema, dict) or schema["type"] != "record" or schema["name"] != full_name:
            return f"it is not of the record {full_name}"
        return own if schema == _Vetting().of(own.parsed, "", 0)[0] else released(schema)
    except SchemaError as error:
        return str(error)
    except (ValueError, TypeError, KeyError, RecursionError, SchemaParseException, UnknownType) as error:
        return type(error).__name__


@dataclass(slots=True)
class _Vetting:
    """Copies a schema, with what reading needs and nothing else."""

    sizes: dict[str, _Size] = field(default_factory=dict)
    """Of the named types that are complete."""
    open: set[str] = field(default_factory=set)
    """Named types that are being defined."""

    def of(self, node: Node, space: str, depth: int, *, in_union: bool = False) -> tuple[Node, _Size]:
        """The copy of a type and its size. space: the enclosing namespace."""
        if depth > SCHEMA_DEPTH:
            raise SchemaError(f"its types are nested deeper than {SCHEMA_DEPTH}")
        if isinstance(node, str):
            return self._by_name(node, space, in_union=in_union)
        if isinstance(node, list):
            return self._union(node, space, depth, in_union=in_union)
        if not isinstance(node, dict):
            raise SchemaError("a type is neither a name, a union nor an object")
        kind = node.get("type")
        if isinstance(kind, str) and kind in {"record", "enum", "fixed"}:
            return self._definition(node, kind, space, depth)
        if kind == "array" or kind == "map":
            part = "items" if kind == "array" else "values"
            inner, size = self.of(node.get(part), space, depth + 1)
            return {"type": kind, part: inner}, self._checked(_Size(size.types + 1, size.depth + 1))
        inner, size = self.of(kind, space, depth + 1, in_union=in_union)
        meaning = node.get("logicalType")
        if inner == "long" and isinstance(meaning, str) and meaning in TIMESTAMPS:
            return {"type": "long", "logicalType": meaning}, size
        return inner, size

    def _by_name(self, name: str, space: str, *, in_union: bool) -> tuple[Node, _Size]:
        if name in PRIMITIVES:
            if name == "null" and not in_union:
                raise SchemaError("a null outside of a union takes no bytes")
            return name, _Size()
        full = name if "." in name or not space else f"{space}.{name}"
        if full in self.open:
            raise SchemaError("it is recursive")
        if full not in self.sizes:
            raise SchemaError("it uses a type that it does not define")
        return full, self.sizes[full]

    def _union(self, branches: list[Node], space: str, depth: int, *, in_union: bool) -> tuple[Node, _Size]:
        if in_union or not 1 <= len(branches) <= UNION_BRANCHES:
            raise SchemaError(f"a union is nested, empty, or has more than {UNION_BRANCHES} branches")
        found = [self.of(branch, space, depth + 1, in_union=True) for branch in branches]
        return [node for node, _ in found], self._sum([size for _, size in found])

    def _definition(self, node: Node, kind: str, space: str, depth: int) -> tuple[Node, _Size]:
        full = _full_name(node, space)
        if full in self.open or full in self.sizes:
            raise SchemaError("it defines a type twice")
        self.open.add(full)
        copy: dict[str, Node] = {"type": kind, "name": full}
        size = _Size()
        if kind == "fixed":
            if type(node.get("size")) is not int or not 1 <= node["size"] <= FIXED_BYTES:
                raise SchemaError(f"a fixed type has a size outside of 1 to {FIXED_BYTES:,} bytes")
            copy["size"] = node["size"]
        elif kind == "enum":
            copy["symbols"] = _texts(node.get("symbols"), "the symbols of an enum")
        else:
            copy["fields"], size = self._fields(node.get("fields"), full.rpartition(".")[0], depth)
        self.open.remove(full)
        self.sizes[full] = size
        return copy, size

    def _fields(self, fields: Node, space: str, depth: int) -> tuple[list[Node], _Size]:
        if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
            raise SchemaError("a record has no list of fields")
        names = _texts([each.get("name") for each in fields], "the fields of a record")
        found = [self.of(each.get("type"), space, depth + 1) for each in fields]
        copies = [{"name": name, "type": node} for name, (node, _) in zip(names, found, strict=True)]
        return copies, self._sum([size for _, size in found])

    def _sum(self, sizes: list[_Size]) -> _Size:
        return self._checked(_Size(1 + sum(each.types for each in sizes), 1 + max(each.depth for each in sizes)))

    @staticmethod
    def _checked(size: _Size) -> _Size:
        if size.types > SCHEMA_TYPES or size.depth > SCHEMA_DEPTH:
            raise SchemaError(f"it expands to more than {SCHEMA_TYPES:,} types, or deeper than {SCHEMA_DEPTH}")
        return size


def _full_name(node: Node, space: str) -> str:
    name, given = node.get("name"), node.get("namespace", space)
    if not isinstance(name, str) or not name or not isinstance(given, str):
        raise SchemaError("a type has no name")
    return name if "." in name or not given else f"{given}.{name}"


def _texts(values: Node, what: str) -> list[str]:
    if not isinstance(values, list) or not values or not all(isinstance(each, str) for each in values):
        raise SchemaError(f"{what} are no list of names, or none")
    if len(values) > SCHEMA_TYPES or len(set(values)) < len(values):
        raise SchemaError(f"{what} repeat, or are more than {SCHEMA_TYPES:,}")
    return values

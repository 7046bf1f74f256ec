"""Counts the values in Avro bytes before they are decoded, so that decoding takes time and memory in proportion.

An Avro library makes a Python object of every value: megabytes of empty strings would become a list of millions. This
walk makes none. Source: Avro 1.12 specification, "Binary encoding".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Node: TypeAlias = Any
"""A schema as fastavro parses it: a name, a union (list), or an object."""

_FIXED_BYTES = {"boolean": 1, "float": 4, "double": 8}
_VARINT_BYTES = 10


class ValuesError(ValueError):
    """The bytes hold more values than the maximum, or end within a value; the message says which."""


@dataclass(slots=True)
class ValueCount:
    """A walk through the bytes of one value. `ValueCount(data, at, types, most).walk(schema)`.

    at: where the value starts; types: the named types of the schema, which must not be recursive; most: maximum number
    of values; found: values so far, each of which has taken a byte at least. Raises ValuesError.
    """

    data: bytes
    at: int
    types: Mapping[str, Node]
    most: int
    found: int = 0

    def walk(self, node: Node) -> None:
        """Pass one value of the schema `node`."""
        if isinstance(node, str):
            node = self.types.get(node, node)
        if isinstance(node, list):
            self._union(node)
        elif isinstance(node, str):
            self._primitive(node)
        elif node["type"] == "record":
            for field in node["fields"]:
                self.walk(field["type"])
        elif node["type"] in {"array", "map"}:
            self._blocks(node)
        elif node["type"] == "fixed":
            self._count()
            self._pass(node["size"])
        elif node["type"] == "enum":
            self._long()
        else:
            self.walk(node["type"])

    def _primitive(self, name: str) -> None:
        if name in {"int", "long"}:
            self._long()
        elif name in {"bytes", "string"}:
            self._pass(self._long())
        elif name != "null":
            self._count()
            self._pass(_FIXED_BYTES[name])

    def _union(self, branches: list[Node]) -> None:
        index = self._long()
        if not 0 <= index < len(branches):
            raise ValuesError("a union has no such branch")
        self.walk(branches[index])

    def _blocks(self, node: Node) -> None:
        keyed = node["type"] == "map"
        item = node["values"] if keyed else node["items"]
        while count := self._long():
            size = self._long() if count < 0 else None
            if abs(count) > self.most:
                raise ValuesError(f"more than {self.most:,} values in one record")
            start = self.at
            for _ in range(abs(count)):
                if keyed:
                    self._pass(self._long())
                self.walk(item)
            # A reader that skips a block trusts this size: below zero, it would read the block again for ever.
            if size is not None and size != self.at - start:
                raise ValuesError("a block has another size than it states")

    def _long(self) -> int:
        """A number in zig-zag varint encoding."""
        self._count()
        number = shift = 0
        for byte in self.data[self.at : self.at + _VARINT_BYTES]:
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise ValuesError("a number has no end")

    def _pass(self, size: int) -> None:
        if not 0 <= size <= len(self.data) - self.at:
            raise ValuesError("a value is longer than the data")
        self.at += size

    def _count(self) -> None:
        self.found += 1
        if self.found > self.most:
            raise ValuesError(f"more than {self.most:,} values in one record")

"""Whether a reader's Avro schema can read everything that a writer's schema can write.

Pure. Source: Avro 1.12 specification, "Schema Resolution". Stricter in one point: a logical type may not change, since
resolution would pass the number on and change its meaning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastavro.schema import parse_schema

Node: TypeAlias = Any
"""A schema as JSON has it: a name, a union (list), or an object."""

PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
}
"""What a written type may be read as besides itself. Avro also allows bytes as string, but not all bytes are UTF-8."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why reading fails. path: the field, from the record down; what: what is in the way."""

    path: str
    what: str


def obstacles(reader: Node, writer: Node) -> list[Obstacle]:
    """Every reason why `reader` cannot read all values of `writer`; empty when it can.

    reader, writer: schemas as JSON. Raises fastavro's SchemaParseException or UnknownType for an invalid schema, such
    as one with a default that does not fit its type.
    """
    readers, writers = _Names.of(reader), _Names.of(writer)
    return list(_Resolution(readers, writers).between(readers.root, writers.root, ""))


@dataclass(frozen=True, slots=True)
class _Names:
    """A parsed schema and the named types in it."""

    root: Node
    types: Mapping[str, Node]

    @classmethod
    def of(cls, schema: Node) -> "_Names":
        root = parse_schema(schema, named_schemas={}, _force=True)
        return cls(root, {node["name"]: node for node in _walk(root) if isinstance(node, dict) and "name" in node})

    def look_up(self, node: Node) -> Node:
        """The object or union behind a name; primitive types as objects."""
        return self.types.get(node, {"type": node}) if isinstance(node, str) else node


def _walk(node: Node) -> Iterator[Node]:
    yield node
    children: list[Node] = []
    if isinstance(node, list):
        children = node
    elif isinstance(node, dict):
        children = [f["type"] for f in node.get("fields", [])] + [node[k] for k in ("items", "values") if k in node]
    for child in children:
        yield from _walk(child)


@dataclass(slots=True)
class _Resolution:
    readers: _Names
    writers: _Names
    compared: set[tuple[str, str]] = field(default_factory=set)
    """Records that were compared or are being compared: schemas may be recursive."""

    def between(self, reader: Node, writer: Node, path: str) -> Iterator[Obstacle]:
        reader, writer = self.readers.look_up(reader), self.writers.look_up(writer)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.between(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._into_union(reader, writer, path)
        else:
            yield from self._plain(reader, writer, path)

    def _into_union(self, reader: list[Node], writer: Node, path: str) -> Iterator[Obstacle]:
        kinds = [_kind(self.readers.look_up(branch)) for branch in reader]
        attempts = [list(self._apart().between(branch, writer, path)) for branch in reader]
        if all(attempts):
            # A branch of the same kind gives a better reason than "no branch".
            same_kind = [a for a, kind in zip(attempts, kinds, strict=True) if kind == _kind(writer)]
            yield from same_kind[0] if same_kind else [Obstacle(path, f"no branch of the union reads {_kind(writer)}")]

    def _apart(self) -> "_Resolution":
        """A resolution whose failed attempts leave no trace here."""
        return _Resolution(self.readers, self.writers, set(self.compared))

    def _plain(self, reader: Node, writer: Node, path: str) -> Iterator[Obstacle]:
        kind, written = _kind(reader), _kind(writer)
        if kind != written and kind not in PROMOTIONS.get(written, ()):
            yield Obstacle(path, f"{written} cannot be read as {kind}")
        elif _meaning(reader) != _meaning(writer):
            yield Obstacle(path, f"{_meaning(writer) or written} would be taken for {_meaning(reader) or kind}")
        elif kind == written:
            yield from self._same_kind(kind, reader, writer, path)

    def _same_kind(self, kind: str, reader: Node, writer: Node, path: str) -> Iterator[Obstacle]:
        if kind in {"record", "error", "enum", "fixed"} and not _same_name(reader, writer):
            yield Obstacle(path, f"{kind} {writer['name']} is not {reader['name']}; an alias would join them")
        elif kind in {"record", "error"}:
            yield from self._record(reader, writer, path)
        elif kind == "enum":
            unknown = [s for s in writer["symbols"] if s not in reader["symbols"]]
            if unknown and "default" not in reader:
                yield Obstacle(path, f"symbol {', '.join(unknown)} is unknown, and the enum has no default")
        elif kind == "fixed" and reader["size"] != writer["size"]:
            yield Obstacle(path, f"{writer['size']} bytes cannot be read as {reader['size']}")
        elif kind == "array":
            yield from self.between(reader["items"], writer["items"], f"{path}[]")
        elif kind == "map":
            yield from self.between(reader["values"], writer["values"], f"{path}{{}}")

    def _record(self, reader: Node, writer: Node, path: str) -> Iterator[Obstacle]:
        pair = (reader["name"], writer["name"])
        if pair in self.compared:
            return
        self.compared.add(pair)
        written = {f["name"]: f for f in writer["fields"]}
        for wanted in reader["fields"]:
            name = f"{path}.{wanted['name']}".lstrip(".")
            source = next((written[n] for n in [wanted["name"], *wanted.get("aliases", [])] if n in written), None)
            if source is not None:
                yield from self.between(wanted["type"], source["type"], name)
            elif "default" not in wanted:
                yield Obstacle(name, "is not written, and has no default to be read as")


def _kind(node: Node) -> str:
    return str(node["type"]) if isinstance(node, dict) else "union" if isinstance(node, list) else str(node)


def _meaning(node: Node) -> str:
    """The logical type with its parameters; empty for none."""
    if "logicalType" not in node:
        return ""
    sizes = [f"{k} {node[k]}" for k in ("precision", "scale") if k in node]
    return " ".join([str(node["logicalType"]), *sizes])


def _same_name(reader: Node, writer: Node) -> bool:
    full, short = writer["name"], writer["name"].rpartition(".")[2]
    space = reader["name"].rpartition(".")[0]
    aliases = {a if "." in a or not space else f"{space}.{a}" for a in reader.get("aliases", [])}
    return reader["name"].rpartition(".")[2] == short or full in aliases

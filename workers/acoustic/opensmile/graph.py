"""The components of an openSMILE configuration, and those of them that its sinks need. Pure.

The configuration includes whole files of the opensmile package, and a fifth of their components computes an older
feature set that nothing of ours reads. What runs is the same graph without them: every value stays, bit by bit.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

MANAGER = "componentInstances"
READERS = ("reader.dmLevel", "reader2.dmLevel", "F0reader.dmLevel")
WRITER = "writer.dmLevel"

_COMMENT = re.compile(r"/\*.*?\*/|^\s*(?:;|//).*?$", re.DOTALL | re.MULTILINE)
_INCLUDE = re.compile(r"\\\{\\cm\[(\w+)[^\]]*\]\}")
_OPTION = re.compile(r"\\cm\[(\w+)\{([^}]*)\}[^\]]*\]")
_SECTION = re.compile(r"\[(\w+):\w+\]")
_INSTANCE = re.compile(r"instance\[(\w+)\]\.type\s*=\s*(\w+)")


@dataclass(frozen=True, slots=True)
class Component:
    """A component by its type and its fields, both as the configuration writes them."""

    type: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[str, ...]:
        """The levels that it reads."""
        return tuple(level for name in READERS for level in _levels(self.fields.get(name, "")))

    @property
    def writes(self) -> str | None:
        """The level that it writes; None for a sink."""
        return self.fields.get(WRITER)


Graph: TypeAlias = Mapping[str, Component]
"""Components by name, in the order in which openSMILE runs them."""


def parse(text: str, files: Mapping[str, str], options: Mapping[str, object]) -> Graph:
    r"""The graph of a configuration.

    files: contents of what `\{\cm[name]}` includes; options: values of `\cm[name{default}]`. Raises ValueError where
    the text is no configuration, KeyError for a file that is not given.
    """
    types: dict[str, str] = {}
    fields: dict[str, dict[str, str]] = {}
    section = ""
    for line in _lines(text, files, options):
        if begins := _SECTION.fullmatch(line):
            section = begins[1]
        elif instance := _INSTANCE.fullmatch(line):
            types[instance[1]] = instance[2]
        elif section != MANAGER:
            name, value = line.split("=", 1)
            fields.setdefault(section, {})[name.strip()] = value.strip()
    return {name: Component(kind, fields.get(name, {})) for name, kind in types.items()}


def needed(graph: Graph, *sinks: str) -> Graph:
    """The part of the graph that the sinks need, and the data memory."""
    writers = {component.writes: name for name, component in graph.items() if component.writes}
    wanted, found = list(sinks), {name for name, component in graph.items() if component.type == "cDataMemory"}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += [writers[level] for level in graph[name].reads]
    return {name: component for name, component in graph.items() if name in found}


def unjoined(graph: Graph, sink: str) -> Graph:
    """The graph with a sink that reads what the component before it concatenates: readers join levels themselves."""
    (level,) = graph[sink].reads
    (joined,) = (component for component in graph.values() if component.writes == level)
    return changed(graph, sink, {READERS[0]: joined.fields[READERS[0]]})


def taken_out(graph: Graph, name: str, sink: str, fields: Mapping[str, str]) -> Graph:
    """The graph with a sink and a source in a component's place, for somebody else to do its work.

    fields: of the source, whose name is the component's.
    """
    taken = graph[name]
    there = {
        sink: Component("cExternalSink", {READERS[0]: taken.fields[READERS[0]], "blocksize": "1"}),
        name: Component("cExternalSource", {WRITER: taken.fields[WRITER], **fields}),
    }
    parts = (there if each == name else {each: component} for each, component in graph.items())
    return {each: component for part in parts for each, component in part.items()}


def changed(graph: Graph, name: str, fields: Mapping[str, str]) -> Graph:
    """The graph with other values of some fields of a component."""
    return {**graph, name: replace(graph[name], fields={**graph[name].fields, **fields})}


def configuration(graph: Graph) -> str:
    """The graph as the text of a configuration file without includes and options."""
    lines = [f"[{MANAGER}:cComponentManager]"]
    lines += [f"instance[{name}].type = {component.type}" for name, component in graph.items()]
    for name, component in graph.items():
        lines += ["", f"[{name}:{component.type}]", *(f"{key} = {value}" for key, value in component.fields.items())]
    return "\n".join(lines) + "\n"


def _lines(text: str, files: Mapping[str, str], options: Mapping[str, object]) -> Iterator[str]:
    """What is neither comment nor empty, includes replaced by what they include, options by their values."""
    for line in filter(None, map(str.strip, _COMMENT.sub("", text).splitlines())):
        if include := _INCLUDE.fullmatch(line):
            yield from _lines(files[include[1]], files, options)
        else:
            yield _OPTION.sub(lambda option: str(options.get(option[1], option[2])), line)


def _levels(value: str) -> tuple[str, ...]:
    return tuple(level for level in (part.strip() for part in value.split(";")) if level)

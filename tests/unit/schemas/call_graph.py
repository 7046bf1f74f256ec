"""Which code a command can reach, read from the source of the packages without running it.

A definition is a function, class or constant at the top of a module. It mentions whatever its body names, so that a
class is reached as a whole, and a definition that is named but never called counts as reached.
"""

import ast
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
PACKAGES = ("schemas", "workers", "streams")


@cache
def definitions() -> dict[str, ast.stmt]:
    """Every definition by its dotted name."""
    return {
        f"{module}.{name}": statement
        for module, tree in modules().items()
        for statement in tree.body
        for name in _names(statement)
    }


@cache
def modules() -> dict[str, ast.Module]:
    """Every module by its dotted name."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in paths
    }


@cache
def mentions() -> dict[str, set[str]]:
    """What each definition mentions, by dotted names; some of these are no definitions."""
    return {
        f"{module}.{name}": set(_mentioned(statement, module, imports))
        for module, tree in modules().items()
        for imports in [_imports(tree)]
        for statement in tree.body
        for name in _names(statement)
    }


def reached(starts: Iterable[str], graph: Mapping[str, set[str]]) -> dict[str, str]:
    """Every definition that can be reached, with a shortest way to it."""
    found = {start: start for start in starts}
    waiting = deque(found)
    while waiting:
        at = waiting.popleft()
        new = {to: f"{found[at]} → {to}" for to in sorted(graph[at]) if to in graph and to not in found}
        found |= new
        waiting.extend(new)
    return found


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _imports(tree: ast.Module) -> dict[str, str]:
    """Names that a module imports, anywhere in it, with where they come from."""
    return {
        each.asname or each.name: f"{node.module}.{each.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for each in node.names
    }


def _mentioned(statement: ast.stmt, module: str, imports: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(statement):
        match node:
            case ast.Name(id=name):
                yield imports.get(name, f"{module}.{name}")
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in imports:
                yield f"{imports[name]}.{attribute}"

"""`docs/settings.md`: every setting with its variable, type, default, unit, readers and meaning."""

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from schemas.environment import variable
from schemas.events import Modality
from schemas.generated_page import page, table
from schemas.setting_types import Role
from schemas.settings import Settings, roles_of

ROOT = Path(__file__).parent.parent
FIRST = ("alerts_per_user_year", "kafka_bootstrap", "redis_url", "audio_prefixes", "bundle")
"""What everybody sets."""
UNITS = {
    "_per_user_year": "per user-year",
    "_per_day": "per day",
    "_bytes": "bytes",
    "_hz": "Hz",
    "_db": "dB",
    "_s": "s",
}
"""By the end of a field's name."""
LARGE = (("_s", 86400, "d"), ("_s", 3600, "h"), ("_bytes", 1 << 20, "MiB"))
"""How large defaults are also written: by the end of the field's name, so many units make one of the larger."""
COLUMNS = ("variable", "type", "default", "unit", "read by", "meaning")

INTRODUCTION = """\
A process reads its settings once, at start, from environment variables. A value can also be a file, named like its
variable (such as `undertone_kafka_password`), in the folder that `UNDERTONE_SECRETS_DIR` names; the variable takes
precedence. An empty variable counts as unset. A process that cannot use a value names its variable and exits with code
78."""
LEGEND = """\
*Secret*: the value is a password or may contain one. It is never printed or logged; give it as a file in
`UNDERTONE_SECRETS_DIR`. *List*: comma-separated."""


def settings_page() -> str:
    """The settings as a page."""
    meanings = documented()
    first = [(f"`{variable(name)}`", default_of(name), meanings[name]) for name in FIRST]
    blocks = [
        INTRODUCTION,
        "## Set these first",
        table(("variable", "default", "meaning"), first),
        "## All settings",
        LEGEND,
        table(("read by", "processes"), ((_named(Role[name]), text) for name, text in docstrings(Role).items())),
    ]
    for section, names in sections().items():
        rows = [_row(name, meanings[name]) for name in names]
        blocks += [f"## {_title(section.__name__)}", _one_line(section.__doc__ or ""), table(COLUMNS, rows)]
    return page("Settings", *blocks)


def sections() -> dict[type, list[str]]:
    """The classes that Settings consists of, in its order, each with its own fields."""
    found: dict[type, list[str]] = {}
    for name in Settings.model_fields:
        owner = next(each for each in Settings.__mro__ if name in inspect.get_annotations(each))
        found.setdefault(owner, []).append(name)
    return found


def documented() -> dict[str, str]:
    """The docstring of every field that has one, in one line.

    pydantic could read them too, but only while the classes are made, and so at every start of every process.
    """
    return {name: text for section in sections() for name, text in docstrings(section).items()}


def docstrings(of: type) -> dict[str, str]:
    """The strings that follow the attributes of a class, by attribute."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, following in pairwise(tree.body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = _one_line(text)
    return found


def default_of(name: str) -> str:
    """The default as the variable's text, large numbers also in words; `none` where there is none."""
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "see meaning"
    value = field.default
    if value in (None, "", ()):
        return "none"
    if isinstance(value, Path):
        value = value.relative_to(ROOT)
    if isinstance(value, tuple):
        value = ",".join(value)
    text = str(value).lower() if isinstance(value, bool) else f"{value:.15g}" if isinstance(value, float) else value
    return f"`{text}`{_large(name, value)}"


def type_of(name: str) -> str:
    """The type and the bounds of a setting, in words."""
    schema = _schema()
    words = _in_words(schema["properties"][name], schema["$defs"])
    return words if Settings.model_fields[name].repr else f"{words}, secret"


@cache
def _schema() -> Mapping[str, Any]:
    return Settings.model_json_schema(by_alias=False)


def _row(name: str, meaning: str) -> tuple[str, ...]:
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    return f"`{variable(name)}`", type_of(name), default_of(name), unit, _named(roles_of(name)), meaning


def _named(roles: Role) -> str:
    if roles is Role.ALL:
        return "all"
    return ", ".join(str(role.name).lower().replace("_", " ") for role in roles)


def _in_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The words for a JSON schema of pydantic's."""
    match schema:
        case {"anyOf": [one, {"type": "null"}]}:
            return _in_words(one, definitions)
        case {"$ref": str(reference)}:
            return _in_words(definitions[reference.rpartition("/")[2]], definitions)
        case {"enum": list(values)}:
            return "one of " + ", ".join(f"`{value}`" for value in values if value != Modality.UNKNOWN)
        case {"type": "array", "items": {"type": "string"}}:
            return "list"
        case {"type": "array", "items": items}:
            return f"list, each {_in_words(items, definitions)}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "number" | "integer" as kind}:
            return ("whole number" if kind == "integer" else "number") + _bounds(schema)
        case {"format": "file" | "folder" as kind}:
            return str(kind)
        case {"format": "password"}:
            return "text, secret"
        case {"type": "string"}:
            return "text"
    raise ValueError(f"no words for {schema}")


def _bounds(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"minimum": low, "maximum": high}:
            return f", {low} to {high}"
        case {"minimum": low}:
            return f" ≥ {low}"
        case {"exclusiveMinimum": low}:
            return f" > {low}"
    return ""


def _large(name: str, value: object) -> str:
    """The number in brackets, in days, hours or MiB; empty where it is not a whole number of them."""
    for end, size, unit in LARGE:
        if isinstance(value, int | float) and name.endswith(end) and value >= size and value % size == 0:
            return f" ({int(value // size)} {unit})"
    return ""


def _title(class_name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", class_name).capitalize()


def _one_line(text: str) -> str:
    return " ".join(text.split())

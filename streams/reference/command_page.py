"""`docs/cli.md`, from the commands: `python -m streams.reference.command_page [--check]`.

`--check` writes nothing and fails when the page is out of date. Every command is listed with its arguments and options
as its help shows them, and with the JSON Schema of what `--json` prints.
"""

import json
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import typer

from schemas.errors import EXIT_CODES
from schemas.generated_page import page, table
from streams.cli.application import app
from streams.reference.output import OUTPUTS, output_schema

PAGE = Path(__file__).parent.parent.parent / "docs" / "cli.md"
NAME = "undertone"
WIDTH = 110
"""Columns of JSON, within what a page shows without scrolling."""
INTRODUCTION = f"""\
The `{NAME}` command. `-h` or `--help` after any command shows this text; `{NAME} --version` the version.

**Output.** People get sentences and tables, which fit the terminal, or 80 columns in a pipe; with `--json` a command
prints JSON lines: one object per line, UTF-8, and nothing else on standard output. Times are RFC 3339 in UTC, numbers
that are not finite are null, and fields may be added: ignore those that you do not know. Errors, warnings and progress
are on standard error; progress only shows on a terminal. There is no colour in a pipe, nor where `NO_COLOR` is set.

**Ctrl-C** ends a command at once; it may be repeated, because every effect is idempotent. `up`, `worker`, `agents` and
`bridge` finish what they have started, within `UNDERTONE_STOP_DEADLINE_S`."""


def command_page() -> str:
    """The commands as a page."""
    rows = [(str(code.value), row.meaning, row.remedy) for code, row in EXIT_CODES.items()]
    blocks = [INTRODUCTION, "## Exit codes", table(("code", "meaning", "what to do"), rows)]
    root = typer.main.get_command(app)
    for context in _contexts(root.make_context(NAME, [], resilient_parsing=True)):
        blocks += _command(context)
    return page("Command line", *blocks)


def _contexts(context: Any) -> Iterator[Any]:
    """The context of every command and group below one, a group before its commands."""
    for name, command in getattr(context.command, "commands", {}).items():
        below = command.make_context(name, [], parent=context, resilient_parsing=True)
        yield below
        yield from _contexts(below)


def _command(context: Any) -> Iterator[str]:
    """The blocks of one command: heading, usage, help, options, output."""
    name = context.command_path.removeprefix(f"{NAME} ")
    yield f"## {name}"
    yield f"`{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}`"
    yield from map(_paragraph, cleandoc(context.command.help or "").split("\n\n"))
    records = [parameter.get_help_record(context) for parameter in context.command.get_params(context)]
    shown = [(f"`{_cell(use)}`", _cell(text)) for use, text in filter(None, records) if "--help" not in use]
    if shown:
        yield table(("argument or option", "meaning"), shown)
    if name not in OUTPUTS and any("--json" in use for use, _ in shown):
        raise ValueError(f"{name} has --json: add what it prints to streams/reference/output.py")
    if output := OUTPUTS.get(name):
        yield f"**`--json`:** {output.says} Each is an object of this JSON Schema:"
        yield f"```json\n{laid_out(output_schema(output))}\n```"


def _paragraph(text: str) -> str:
    """A paragraph of help; one that keeps its line breaks, which a backspace marks, as a block."""
    lines = text.removeprefix("\b\n")
    return text if lines == text else f"```text\n{lines}\n```"


def laid_out(value: Any, indent: str = "") -> str:
    """The value as JSON, an object on one line where it fits.

    >>> print(laid_out({"a": {"b": 1}}))
    {"a": {"b": 1}}
    """
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= WIDTH or not isinstance(value, dict):
        return flat
    inner = f"{indent}  "
    parts = (f"{inner}{json.dumps(name)}: {laid_out(part, inner)}" for name, part in value.items())
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")


def main(arguments: list[str], path: Path = PAGE) -> int:
    """The command: writes the page, or with `--check` says that it is out of date and returns 1."""
    if "--check" not in arguments:
        path.write_text(command_page())
        return 0
    if path.is_file() and path.read_text() == command_page():
        return 0
    sys.stderr.write(f"docs/{path.name} is out of date: run `make schemas`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

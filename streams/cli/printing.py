"""What commands print: tables and sentences for people, or JSON lines; progress and errors on standard error.

A command makes its records first and hands them to a printer, which is the same for all commands:

    output = printer(as_json)
    output.table(mutes, columns)       # a row per record, or a JSON line
    output.lines(alerts, sentence)     # one at a time, as they come
    output.note("3 mutes")             # for people; a program counts lines

Where people are shown something else than the records, `data` is for programs, `view` and `note` are for people.

Every value that is shown is escaped: ids, reasons and paths come from outside, and could otherwise move the cursor,
forge a line or be taken for markup. Tables fit the terminal, or 80 columns where there is none; what is too wide is
folded, never cut. There is no colour in a pipe, nor where NO_COLOR is set.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Generic, NamedTuple, NoReturn, Protocol, TypeVar

import typer

from schemas.errors import ExitCode

if TYPE_CHECKING:
    from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of text.")]
"""The option of every command that reads or reports."""

WIDTH = 80
"""Columns where no terminal says how many there are."""

NAME_WIDTH = 24
"""Columns for the names of fields; a longer name moves its value to the right."""

R = TypeVar("R")


class Column(NamedTuple, Generic[R]):
    """One column of a table for people. value: what a record shows there; None is an empty cell."""

    heading: str
    value: Callable[[R], object]
    right: bool = False


class Printer(Protocol):
    """Where a command's results go. Records are dataclasses or mappings that `schemas.json_records` can write."""

    def table(self, records: Iterable[R], columns: Sequence[Column[R]]) -> None:
        """One row or JSON line per record."""

    def lines(self, records: Iterable[R], sentence: Callable[[R], str]) -> None:
        """One line per record, each written as soon as it comes."""

    def fields(self, record: Mapping[str, object], shown: Mapping[str, object] | None = None) -> None:
        """One record: a line for each of its fields, or one JSON line. shown: what people see instead of it."""

    def note(self, text: str) -> None:
        """One line that only people need: a sum, a hint, where a file was written."""

    def view(self, records: Iterable[R], columns: Sequence[Column[R]]) -> None:
        """A table that only people need: a part of what `data` gives to programs."""

    def data(self, *records: object) -> None:
        """Records that only programs need, because notes and views show people the same."""


def printer(as_json: bool) -> Printer:
    """The printer that `--json` asks for."""
    return JsonPrinter() if as_json else TextPrinter()


class JsonPrinter:
    """JSON lines: one object per record, and nothing else on standard output."""

    def table(self, records: Iterable[R], columns: Sequence[Column[R]]) -> None:
        """Every record, whole."""
        self.lines(records, str)

    def lines(self, records: Iterable[R], sentence: Callable[[R], str]) -> None:
        """Every record, whole, as soon as it comes."""
        from schemas.json_records import to_json

        for record in records:
            _write(to_json(record))

    def fields(self, record: Mapping[str, object], shown: Mapping[str, object] | None = None) -> None:
        """The record, whole."""
        self.lines([record], str)

    def note(self, text: str) -> None:
        """Nothing: it is no record."""

    def view(self, records: Iterable[R], columns: Sequence[Column[R]]) -> None:
        """Nothing: its rows are no records."""

    def data(self, *records: object) -> None:
        """Every record, whole."""
        self.lines(records, str)


class TextPrinter:
    """Tables and lines of text."""

    def table(self, records: Iterable[R], columns: Sequence[Column[R]]) -> None:
        """A table with a line of headings, also where there is no record."""
        _write(_rendered(_table(list(records), columns)))

    def lines(self, records: Iterable[R], sentence: Callable[[R], str]) -> None:
        """A sentence per record."""
        for record in records:
            self.note(sentence(record))

    def fields(self, record: Mapping[str, object], shown: Mapping[str, object] | None = None) -> None:
        """A name and its value on each line, however long: a line can be searched and copied."""
        pairs = (record if shown is None else shown).items()
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            self.note(f"{name:<{min(width, NAME_WIDTH)}}  {'' if value is None else value}".rstrip())

    def note(self, text: str) -> None:
        """The text, on one line whatever it holds."""
        from workers.service.terminal import escaped

        _write(escaped(text))

    def view(self, records: Iterable[R], columns: Sequence[Column[R]]) -> None:
        """As `table`."""
        self.table(records, columns)

    def data(self, *records: object) -> None:
        """Nothing: people read notes and views."""


def _write(line: str) -> None:
    """One line on standard output, at once; where its reader is gone, as after `| head -1`, the command just ends."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter would try once more
        raise SystemExit(ExitCode.CLOSED_PIPE) from None


def _rendered(table: "Table") -> str:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")


def _table(records: Sequence[R], columns: Sequence[Column[R]]) -> "Table":
    """Columns two spaces apart, without rules: what a pipe can split and a narrow terminal can hold."""
    from rich.table import Table

    from workers.service.terminal import cell

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for record in records:
        values = [column.value(record) for column in columns]
        table.add_row(*(cell("" if value is None else value) for value in values))
    return table


def warn(text: str) -> None:
    """A line about something that went wrong while the command goes on: on standard error, also with `--json`."""
    _on_stderr(text, "yellow")


def fail(text: str, exit_code: int) -> NoReturn:
    """End the command: one sentence on standard error that names the fault and its remedy, and the exit code."""
    _on_stderr(f"undertone: {text}", "red")
    raise SystemExit(exit_code) from None


def _on_stderr(text: str, style: str) -> None:
    from rich.console import Console

    from workers.service.terminal import cell

    line = cell(text)
    line.stylize(style)
    Console(stderr=True).print(line, soft_wrap=True)


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while the block runs; give it how many more are done. Nothing without a terminal.

    total: None where it is not known: then it only shows that something happens, and for how long.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    counted = () if total is None else (MofNCompleteColumn(),)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *counted,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        # What is printed meanwhile goes around the bar, but never out of a file or a pipe.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def tracked(items: Iterable[R], what: str, total: int | None = None) -> Iterator[R]:
    """The items, with `progress` while they are taken. total: where `items` has no length."""
    known = len(items) if total is None and isinstance(items, Collection) else total
    with progress(known, what) as done:
        for item in items:
            yield item
            done(1)

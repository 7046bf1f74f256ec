"""What every command prints through: on a terminal, in a pipe, and as JSON lines."""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from schemas.errors import ExitCode
from streams.cli import printing
from streams.cli.printing import Column, printer

ESCAPE = "\x1b"
HOSTILE = {"user": "a\x1b[2J\n[red]b[/] :bell:", "at": datetime(2026, 5, 1, 8, 30, tzinfo=UTC), "mean": float("nan")}
COLUMNS = (
    Column[dict[str, object]]("user", lambda row: row["user"]),
    Column[dict[str, object]]("mean", lambda row: row["mean"], right=True),
    Column[dict[str, object]]("nothing", lambda row: None),
)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, *streams: str) -> Iterator[int]:
    """The streams (`stdout`, `stderr`) on a real terminal; gives the descriptor that reads what it shows."""
    ours, theirs = os.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    with os.fdopen(theirs, "w") as screen:
        for name in streams:
            monkeypatch.setattr(sys, name, screen)
        yield ours
    os.close(ours)


def shown(descriptor: int, text: str = "") -> str:
    """What the terminal shows next, read until this text is among it; pytest ends the test if it never is."""
    read = os.read(descriptor, 1 << 16).decode()
    while text not in read:
        read += os.read(descriptor, 1 << 16).decode()
    return read


def test_a_table_has_a_row_per_record_and_no_value_can_break_it(capsys: pytest.CaptureFixture[str]) -> None:
    printer(as_json=False).table([HOSTILE], COLUMNS)
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["user", "mean", "nothing"]
    assert row.split() == [r"a\x1b[2J\n[red]b[/]", ":bell:", "nan"]


def test_a_table_without_records_still_says_what_its_columns_are(capsys: pytest.CaptureFixture[str]) -> None:
    printer(as_json=False).table([], COLUMNS)
    assert capsys.readouterr().out.split() == ["user", "mean", "nothing"]


def test_a_wide_table_is_folded_into_80_columns_and_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [Column[str]("first", lambda text: text), Column[str]("second", lambda text: text[::-1])]
    text = "".join(f"{number:04d}" for number in range(60))
    printer(as_json=False).table([text], columns)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "".join(line.split()[0] for line in lines[1:]) == text


def test_json_lines_hold_the_whole_record_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    output = printer(as_json=True)
    output.table([HOSTILE], COLUMNS)
    output.lines([HOSTILE], str)
    output.fields(HOSTILE)
    output.note("1 record")
    lines = capsys.readouterr().out.splitlines()
    whole = {"user": HOSTILE["user"], "at": "2026-05-01T08:30:00.000Z", "mean": None}
    assert [json.loads(line) for line in lines] == [whole] * 3
    assert ESCAPE not in "".join(lines)


def test_lines_are_written_as_they_come_and_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    def records() -> Iterator[str]:
        yield "first"
        assert capsys.readouterr().out == "first.\n"
        yield "a\nb"

    printer(as_json=False).lines(records(), lambda record: f"{record}.")
    assert capsys.readouterr().out == "a\\nb.\n"


def test_fields_are_a_line_each_as_people_should_see_them(capsys: pytest.CaptureFixture[str]) -> None:
    printer(as_json=False).fields({"id": "a", "value": b"\0\1"}, {"id": "a", "value": "0001"})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["id", "a"], ["value", "0001"]]


def test_a_pipe_gets_no_colour_and_no_rules(capsys: pytest.CaptureFixture[str]) -> None:
    printer(as_json=False).table([HOSTILE], COLUMNS)
    printing.warn("one recording skipped")
    out, err = capsys.readouterr()
    assert (out + err).isascii()
    assert ESCAPE not in out + err


def test_a_terminal_gets_colour_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal(monkeypatch, "stderr") as screen:
        printing.warn("one recording skipped")
        assert f"{ESCAPE}[33m" in shown(screen)
        monkeypatch.setenv("NO_COLOR", "1")
        printing.warn("one recording skipped")
        assert shown(screen).strip() == "one recording skipped"


def test_a_failure_is_one_line_on_stderr_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        printing.fail("no broker at \x1b[31mhost:9092: start it, or set KAFKA_BOOTSTRAP " + "x" * 100, 69)
    out, err = capsys.readouterr()
    assert ended.value.code == 69
    assert out == ""
    assert err == r"undertone: no broker at \x1b[31mhost:9092: start it, or set KAFKA_BOOTSTRAP " + "x" * 100 + "\n"


def test_a_reader_that_is_gone_ends_the_command_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as ended:
            printer(as_json=False).note("one line")
        pipe.write("what is written from then on, as at the end of the interpreter, goes nowhere")
    assert ended.value.code == ExitCode.CLOSED_PIPE


def test_progress_shows_on_a_terminal_only_and_lets_lines_through(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(printing.tracked([1, 2], "scoring")) == [1, 2]
    assert capsys.readouterr() == ("", "")
    file = io.StringIO()
    with terminal(monkeypatch, "stderr") as screen:
        monkeypatch.setattr(sys, "stdout", file)
        for item in printing.tracked(iter([1, 2]), "scoring [files]", total=2):
            printer(as_json=True).lines([item], str)
        assert "scoring [files]" in shown(screen, "scoring [files]")
    assert file.getvalue() == "1\n2\n"


def test_progress_without_a_known_total_shows_that_something_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, "stderr") as screen:
        with printing.progress(None, "reading memos.dead"):
            pass
        assert "reading memos.dead" in shown(screen, "reading memos.dead")

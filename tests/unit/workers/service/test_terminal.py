from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from workers.service.terminal import cell, escaped

HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "a\nb\r\tc": r"a\nb\r\tc",
    "\x9b31m": r"\x9b31m",
    "\u202eanna\u2066": r"\u202eanna\u2066",
    "\u200b\ufeff": r"\u200b\ufeff",
    "\u2028": r"\u2028",
    "\ud800": r"\ud800",
    "\U000e0001": r"\U000e0001",
    "\x00\x7f": r"\x00\x7f",
    "é 中 [/x]": "é 中 [/x]",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(st.text())
def test_any_text_stays_printable_and_on_its_line(text: str) -> None:
    assert escaped(text).isprintable()


def test_a_cell_is_never_taken_for_markup() -> None:
    out = StringIO()
    table = Table("column")
    for text in ("[/x]", "[red]no[/red]", ":bell:", *HOSTILE):
        table.add_row(cell(text))
    Console(file=out, width=100).print(table)
    for text in ("[/x]", "[red]no[/red]", ":bell:", *HOSTILE.values()):
        assert text in out.getvalue()
    assert all(line.isprintable() for line in out.getvalue().splitlines())

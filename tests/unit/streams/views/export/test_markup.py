"""HTML in which no text is markup."""

import pytest

from streams.views.export.markup import document, paragraph, section, table, text
from tests.unit.streams.views.export.held import NOTE, USER


@pytest.mark.parametrize("hostile", [NOTE, USER, "\" onload='x'", "<!--", "&lt;", "\u202e", "</style>", "\0"])
def test_no_text_is_markup_wherever_it_stands(hostile: str) -> None:
    made = document(hostile, section(hostile, paragraph(hostile), table(hostile, [hostile], [[hostile]], hostile)))
    plain = document("x", section("x", paragraph("x"), table("x", ["x"], [["x"]], "x")))
    assert made.replace("<br>", "").count("<") == plain.count("<")
    assert all(line.isprintable() for line in made.splitlines())


def test_lines_of_a_note_stay_lines_and_an_empty_table_says_so() -> None:
    assert "<td>a<br>b</td>" in table("c", ["h"], [["a\nb"]], "none")
    assert table("c", ["h"], [], "none") == "<p>none</p>"
    assert text("\u202e<") == "\\u202e&lt;"

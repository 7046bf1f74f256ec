"""No text is a formula."""

import pytest

from streams.views.spreadsheet import safe


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|cmd", "%0"])
def test_no_text_is_a_formula(text: str) -> None:
    assert safe(text) == f"'{text}"


def test_other_texts_stay_as_they_are() -> None:
    assert [safe(text) for text in ("", "memo-1", "'=1")] == ["", "memo-1", "'=1"]

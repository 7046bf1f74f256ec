import pytest

from schemas.generated_page import NOTE, page, table


def test_a_page_says_that_it_is_generated() -> None:
    assert page("Keys", "One.", "Two.") == f"# Keys\n\n<!-- {NOTE} -->\n\nOne.\n\nTwo.\n"


@pytest.mark.parametrize("cell", ["a | b", "a\nb"])
def test_a_cell_that_would_break_its_table_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="not in one cell"):
        table(("name",), [(cell,)])

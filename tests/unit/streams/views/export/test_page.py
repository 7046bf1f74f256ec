"""The page for people: no scripts, nothing is loaded, and every part of what is held is said."""

from html.parser import HTMLParser

from streams.views.export.page import ABSENT, NUMBERS, page
from tests.unit.streams.views.export.held import USER, held, nothing

FILES = {"index.html": "this page"}
SHOWN = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "section", "table", "caption",
         "thead", "tbody", "tr", "th", "td", "br"}  # fmt: skip


class Elements(HTMLParser):
    """Names of elements and attributes, and all text outside of them."""

    def __init__(self, made: str) -> None:
        super().__init__()
        self.names, self.attributes, self.text = set[str](), set[str](), ""
        self.feed(made)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_add_no_element_and_nothing_is_loaded() -> None:
    found = Elements(page(held(), FILES))
    assert found.names == SHOWN
    assert not {"src", "href", "style", "onerror", "onload"} & found.attributes
    assert f"pseudonym {USER}" in found.text
    assert "<img src=x onerror=alert(1)>" in found.text


def test_it_says_what_each_number_is_and_what_was_noticed_and_done() -> None:
    text = Elements(page(held(), FILES)).text
    for says in (
        "A compass, never a diagnosis", "25 %", "pause share 0.40", "began: speaks with longer pauses than usual",
        "clinician-1", "contacted", "illness", "ask for the original file", "a demonstration", "30 days",
        "@SUM(A1)", *(name for name, _ in NUMBERS), *ABSENT,
    ):  # fmt: skip
        assert says in text, says
    assert "depressed" not in text


def test_where_nothing_happened_it_says_so() -> None:
    text = Elements(page(nothing(), FILES)).text
    for says in ("no recordings", "No change was noticed", "No action of anyone", "There are none", "there is none on"):
        assert says in text, says

"""Every message has its German text, and no text of a template escapes translation."""

import re
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from jinja2 import nodes

from streams.reasons.summary import PHRASES
from streams.web.languages import CATALOGUES, catalogue, languages, preferred
from streams.web.pages import TEMPLATES, environment

WEB = TEMPLATES.parent
TEMPLATE_NAMES = sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html"))
KEYWORDS = {"_": None, "gettext": None, "gettext_noop": None, "ngettext": (1, 2)}
READ_TEXT = {"title", "aria-label", "aria-description", "placeholder", "alt", "label", "summary"}
"""Attributes that a person reads or hears."""
NAMES = {"Undertone"}
"""Words that are the same in every language."""

Id = str | tuple[str, ...]


def used() -> set[Id]:
    """Ids of all messages in templates and code of the pages, and the words of markers."""
    found: set[Id] = set()
    for path in (*WEB.rglob("*.py"), *TEMPLATES.rglob("*.html")):
        method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
        with path.open("rb") as file:
            found |= {
                message for _, message, _, _ in extract(method, file, KEYWORDS, options={"silent": "false"}) if message
            }
    return found | set(PHRASES)


def texts(string: object) -> tuple[str, ...]:
    return tuple(map(str, string)) if isinstance(string, (list, tuple)) else (str(string),)


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%(?:\(\w+\))?[sd]|{\w*}", text))


@pytest.mark.parametrize("tag", [tag for tag in languages() if tag != "en"])
def test_every_message_is_translated_with_its_placeholders_and_none_is_left_over(tag: str) -> None:
    known = {message.id: message for message in catalogue(tag) if message.id}
    assert sorted(map(str, used() - set(known))) == [], f"add them to a catalogue in {CATALOGUES.name}/{tag}"
    assert sorted(map(str, set(known) - used())) == [], "these are said nowhere any more"
    for key, message in known.items():
        assert not message.fuzzy, key
        for form, text in enumerate(texts(message.string)):
            assert text.strip(), key
            assert placeholders(text) == placeholders(texts(key)[min(form, len(texts(key)) - 1)]), key


@pytest.mark.parametrize("path", sorted(CATALOGUES.rglob("*.po")), ids=lambda path: path.name)
def test_a_catalogue_is_read_without_an_error(path: Path) -> None:
    with path.open("rb") as file:
        assert len(read_po(file, abort_invalid=True)) > 0


def test_pages_that_say_the_same_translate_it_alike() -> None:
    for tag in languages():
        found: dict[object, set[object]] = defaultdict(set)
        for path in (CATALOGUES / tag).glob("*.po"):
            with path.open("rb") as file:
                for message in read_po(file):
                    found[message.id].add(message.string)
        assert {key: strings for key, strings in found.items() if key and len(strings) > 1} == {}


class Text(HTMLParser):
    """What a person reads of a template, expressions left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in READ_TEXT]


def literal_text(template: str) -> Iterator[str]:
    """Words that stand in a template outside of `_()`; MARK is where an expression stands."""
    parsed = environment("en").parse((TEMPLATES / template).read_text())
    parts = [
        node.data if isinstance(node, nodes.TemplateData) else "0"
        for output in parsed.find_all(nodes.Output)
        for node in output.nodes
    ]
    parser = Text()
    parser.feed("".join(parts))
    for data in parser.found:
        yield from (word for word in re.findall(r"[^\W\d_]{2,}", data) if word not in NAMES)


@pytest.mark.parametrize("template", TEMPLATE_NAMES)
def test_no_text_of_a_template_escapes_translation(template: str) -> None:
    assert list(literal_text(template)) == [], "write {{ _(…) }}"


def test_text_outside_of_a_translation_is_found(tmp_path: Path) -> None:
    parser = Text()
    parser.feed('<p title="Hallo">Welt</p>')
    assert parser.found == ["Hallo", "Welt"]


@pytest.mark.parametrize(
    ("accepted", "chosen", "expected"),
    [
        ("", None, "en"),
        ("de", None, "de"),
        ("de-AT,de;q=0.9,en;q=0.8", None, "de"),
        ("fr,en;q=0.5,de;q=0.4", None, "en"),
        ("en;q=0.1,de;q=0.2", None, "de"),
        ("de;q=0, en;q=0.1", None, "en"),
        ("de;q=nan,;;,*;q=x", None, "en"),
        ("de", "en", "en"),
        ("en", "tlh", "en"),
        ("x," * 100_000, None, "en"),
    ],
)
def test_the_choice_counts_before_the_browser_and_rubbish_for_nothing(
    accepted: str, chosen: str | None, expected: str
) -> None:
    assert preferred(accepted, chosen).tag == expected


def test_numbers_decide_the_form_of_a_message() -> None:
    for language in languages().values():
        assert language.gettext("no such message") == "no such message"
        assert language.ngettext("%d thing", "%d things", 2) == "%d things"

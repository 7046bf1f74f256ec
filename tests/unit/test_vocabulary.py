"""Help, messages, metrics, documents and docstrings use the field's terms, not words of the project's own."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
SPOKEN_WORDS = ROOT / "workers" / "text" / "lexicons.py"
"""Lists of words that speakers say; its own sentences are few."""
PAGES = (ROOT, ROOT / "docs", *(path for path in (ROOT / "deploy").rglob("*") if path.is_dir()))


class Term(NamedTuple):
    """What must not come back. example: a phrase that `pattern` finds; plain: what to write instead."""

    example: str
    pattern: str
    plain: str


TERMS = (
    # The pipeline
    Term(
        "the heavy hops", r"hops|(?:this|each|every|which|heavy|light|fusion|drift|letters) hop|hop of the way", "stage"
    ),
    Term("the letters of a stage", r"(?<!dead )(?<!dead-)letters?(?! and digits)", "dead letter"),
    Term("the way of a memo", r"way of an? memo|memo's way|whole way|way as a whole", "pipeline, data flow"),
    Term("how far it is behind", r"how far\b.{1,40}\bbehind|nothing behind", "consumer lag"),
    Term("after hearing it", r"hearing", "extraction, processing"),
    Term("the long stories", r"story|stories", "scenario"),
    Term("a promise of one false alarm", r"promise[sd]?", "false-alarm budget, guarantee"),
    Term("users who are ill", r"ill(?!-)", "in an episode, positive"),
    Term("a picture", r"pictures?", "plot"),
    # Failure and recovery
    Term("can never succeed", r"can never succeed", "fails permanently"),
    Term("a failure that may pass", r"that may pass|it may pass(?: later)?", "transient error"),
    Term("Redis is away", r"(?:is|are|was|were) away(?! from)", "unavailable"),
    Term("is sent again", r"(?:send|sends|sent|sending)(?: \w+){0,2} again", "resubmitted, redelivered, retried"),
    Term("the batch comes again", r"(?:come|comes|came) again", "is reprocessed, is redelivered"),
    Term("are looked after", r"look(?:s|ed|ing)? after", "reconciled, handled"),
    Term("once it is mended", r"mend(?:s|ed|ing)?", "fix"),
    Term("was asked to stop", r"asked to stop", "shutdown requested"),
    Term("ends by a defect", r"by a defect", "unhandled exception"),
    Term("begun anew", r"anew", "again, restarted, new"),
    Term("has begun", r"begun", "started"),
    # Access and alerts
    Term("the rights of a user", r"rights|want of a right|which right is", "permissions"),
    Term(
        "alerts it kept back", r"(?:keep|keeps|kept|keeping|hold|holds|held|holding) back", "suppress, defer, hold out"
    ),
    Term("an operator's word", r"operator's word", "mute, suppression"),
    Term("nobody is paged", r"nobody(?:'s)?", "no one, no user, no process"),
    Term("whom to reach", r"whom", "who, which"),
    # Places and reports
    Term(
        "the agents tell it",
        r"tells(?! (?:(?:an? |the )?(?:reader|supervisor|client|users?)|you|them apart)\b)|told(?! apart)|agents? tell",
        "reports, exports, shows",
    ),
    Term("beside the broker", r"beside", "with, next to, in addition to"),
    Term(
        "what lies there",
        r"what lies|lies? (?:there|here|beside|under)|lies? in (?:the store|redis|kafka)",
        "is, is stored",
    ),
    Term("where it stands", r"stands(?! (?:in )?for)", "is, state"),
)
FORBIDDEN = [(re.compile(rf"\b(?:{term.pattern})\b", re.IGNORECASE), term.plain) for term in TERMS]

Text: TypeAlias = tuple[str, str]
"""Where a text is, and the text."""


def faults(text: str) -> list[str]:
    """The forbidden terms in a text, with their context and what to write; code in it has names of its own."""
    text = re.sub(r"^```.*?^```|^ *(?:>>>|\.\.\.).*?$|\]\([^)]*\)|`[^`]*`", " … ", text, flags=re.MULTILINE | re.DOTALL)
    text = " ".join(text.split())
    return [
        f"“{found[0]}” in “{text[max(found.start() - 40, 0) : found.end() + 40]}”: write {plain}"
        for pattern, plain in FORBIDDEN
        for found in pattern.finditer(text)
    ]


def strings(package: str) -> Iterator[Text]:
    """Strings of two words or more in the code: docstrings, help, log lines, errors, meanings of metrics."""
    for path in sorted(path for path in (ROOT / package).rglob("*.py") if path != SPOKEN_WORDS):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def pages() -> Iterator[Text]:
    """Pages for users, operators and contributors; decisions and the changelog keep the words of their day."""
    for path in sorted(page for folder in PAGES for page in folder.glob("*.md")):
        if path.name != "CHANGELOG.md":
            yield str(path.relative_to(ROOT)), path.read_text()


def alert_rules() -> Iterator[Text]:
    """What Alertmanager shows of a rule."""
    for path in sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml")):
        for rule in (rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]):
            yield f"{path.relative_to(ROOT)}: {rule['alert']}", "\n".join(rule["annotations"].values())


def dashboards() -> Iterator[Text]:
    """Titles and descriptions of dashboards and their panels."""
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for text in _described(json.loads(path.read_text())):
            yield str(path.relative_to(ROOT)), text


def _described(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (node[key] for key in ("title", "description") if isinstance(node.get(key), str))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _described(child)


SOURCES: dict[str, Callable[[], Iterator[Text]]] = {
    **{package: partial(strings, package) for package in ("schemas", "workers", "streams")},
    "pages": pages,
    "alert rules": alert_rules,
    "dashboards": dashboards,
}


@pytest.mark.parametrize("source", SOURCES)
def test_no_words_of_our_own(source: str) -> None:
    texts = list(SOURCES[source]())
    assert texts
    found = [f"{place}: {fault}" for place, text in texts for fault in faults(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.example)
def test_a_term_is_found_with_its_replacement(term: Term) -> None:
    assert any(fault.endswith(f": write {term.plain}") for fault in faults(f"It is\n{term.example}."))
    assert faults(f'Code: `{term.example}`.\n```sh\n{term.example}\n```\n[a](b.md "{term.example}")') == []
    assert faults(term.plain) == []


@pytest.mark.parametrize(
    "text",
    [
        "A dead letter, dead-letters and dead\nletters; letters and digits.",
        "Frame i is centred at i × hop; a hop of 10 ms.",
        "The probability lies between 0 and 1, h stands for hours, v stands in for w.",
        "The receiver is behind a proxy, 10 m away from the microphone.",
        "Encodings are told apart by their first byte, which tells a reader the version.",
        "The matrix is ill-conditioned.",
        "The right channel, which right now is silent; besides, try again. I cannot tell.",
    ],
)
def test_the_words_of_the_field_are_free(text: str) -> None:
    assert faults(text) == []

"""Documents name only what exists, and quote only what was measured."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from schemas.metrics import METRICS
from schemas.pipeline import FEATURE_STAGES
from schemas.settings import Settings
from schemas.topics import TOPICS
from streams.cli.application import app
from streams.reference import command_page
from tests.benchmarks import figures
from tests.promql import series_of

ROOT = Path(__file__).parent.parent.parent
DECISIONS = ROOT / "docs" / "decisions"
PAGES = [
    page for folder in (ROOT, ROOT / "docs", DECISIONS, ROOT / "deploy/kafka") for page in sorted(folder.glob("*.md"))
]
GUIDES = [page for page in PAGES if page.parent != DECISIONS and page.name != "CHANGELOG.md"]
"""Pages that users act by; decisions and the changelog describe the day they were written."""
ELSEWHERE = {
    *("UNDERTONE_SECRETS_DIR", "UNDERTONE_SHARED", "UNDERTONE_REQUIRE"),
    *("UNDERTONE_AUDIO", "UNDERTONE_MODELS", "UNDERTONE_CHANNEL", "UNDERTONE_KEY_SERVICE"),
}
"""Variables that are no settings: read before them, by tests, or by compose."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as hosts of Markdown make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def code(page: Path) -> str:
    """What a page shows as code, blocks and words."""
    text = page.read_text()
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_variables_are_settings(page: Path) -> None:
    known = {f"UNDERTONE_{name.upper()}" for name in Settings.model_fields} | ELSEWHERE
    assert set(re.findall(r"UNDERTONE_[A-Z][A-Z_]*[A-Z]", page.read_text())) <= known


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_metrics_exist(page: Path) -> None:
    known = {name for metric in METRICS for name in {metric.name, *series_of(metric)}}
    secrets = {f"undertone_{name}" for name in Settings.model_fields}  # files named for their setting
    assert set(re.findall(r"\bundertone_[a-z_]+\b", code(page))) <= known | secrets


def commands(page: Path) -> Iterator[list[str]]:
    for line in code(page).splitlines():
        for words in re.findall(r"(?:^|[;&|] |\. )undertone ((?:[a-z-]+ ?)+)", line.strip()):
            yield words.split()


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_commands_exist(page: Path) -> None:
    for words in commands(page):
        command: Any = typer.main.get_command(app)
        context = typer.Context(command)
        for word in words:
            if word.startswith("--"):
                known = any(word in option.opts for option in command.params)
                assert known or word == "--help", f"undertone {' '.join(words)}"
                break
            if not hasattr(command, "get_command"):
                break
            found = command.get_command(context, word)
            assert found is not None or command.invoke_without_command, f"undertone {' '.join(words)}"
            if found is None:
                break
            command = found


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_reasons_are_given_by_the_code(page: Path) -> None:
    source = "".join(p.read_text() for package in ("workers", "streams") for p in (ROOT / package).rglob("*.py"))
    for reason in re.findall(r"`((?:audio|event|quality|features|receiver):[a-z_]+)`", page.read_text()):
        assert f'"{reason}"' in source, reason


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_files_exist(page: Path) -> None:
    for path in re.findall(r"`((?:schemas|workers|streams|tests|deploy|docs)/[\w./-]+)`", page.read_text()):
        assert re.search(r"[A-Z]{4}", path) or (ROOT / path).exists(), path


def test_the_page_of_the_commands_is_up_to_date() -> None:
    assert command_page.PAGE.read_text() == command_page.command_page(), "run `make schemas`"


def test_the_diagram_shows_every_topic_and_role() -> None:
    shown = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", (ROOT / "docs" / "architecture.svg").read_text()))
    assert [topic.name for topic in TOPICS if topic.name not in shown] == []
    roles = {
        "fusion agent",
        "drift agent",
        "bridges",
        "history",
        "dashboard",
        *(f"{stage.name} worker" for stage in FEATURE_STAGES),
    }
    assert {role for role in roles if role not in shown} == set()


def test_the_newest_change_is_of_the_version_that_is_built() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == version
    for path in (ROOT / "deploy" / "k8s" / "overlays").glob("*/kustomization.yaml"):
        assert {image["newTag"] for image in yaml.safe_load(path.read_text())["images"]} == {version}


def test_terms_of_the_glossary_are_in_order() -> None:
    terms = re.findall(r"^\*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert terms
    assert terms == sorted(terms, key=lambda term: term.lower().replace("-", " "))


def test_every_decision_has_its_header_and_its_line_in_the_index() -> None:
    header = re.compile(
        r"# (\d+)\. (.+)\n\n\*\*Status:\*\* (proposed|accepted|superseded by \d+) · "
        r"\*\*Date:\*\* (\d{4}-\d\d-\d\d)\n\n> (.+)\n> .+\n\n"
    )
    rows, numbers = [], []
    for page in sorted(DECISIONS.glob("*.md")):
        if page.name in {"README.md", "template.md"}:
            continue
        found = header.match(page.read_text())
        assert found, page.name
        number, title, status, date, decided = found.groups()
        assert page.name.startswith(f"{int(number):04}-"), page.name
        numbers.append(number)
        rows.append(f"| [{number}]({page.name}) | {title} | {status} | {date} | {decided} |")
    assert numbers
    assert len(set(numbers)) == len(numbers)
    index = (DECISIONS / "README.md").read_text()
    assert re.findall(r"^\| \[.*$", index, re.MULTILINE) == rows
    assert header.match((DECISIONS / "template.md").read_text().replace("# N.", "# 1."))


def test_every_figure_is_what_its_file_says() -> None:
    assert figures.main(["--check"]) == 0
    assert all(any(True for _ in figures.quotes(page.read_text())) for page in figures.DOCUMENTS)


def test_a_figure_that_is_not_in_its_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "speed.md").write_text("It took 4.5 s\nand 1,200 memos a\nsecond.\n| a | 7 |\n| b | 7 |\n")
    link = '[{}](results/speed.md "{}")'
    for place, value in (("took # s", "4.5"), ("and # memos a second", "1,200"), ("| … | # |", "7")):
        assert figures.renewed(link.format("?", place), tmp_path) == link.format(value, place)
    for place in ("took s", "took # minutes", "a # b #", "# s … #"):
        with pytest.raises(figures.FigureError):
            figures.renewed(link.format("4.5", place), tmp_path)
    with pytest.raises(figures.FigureError, match="no result"):
        figures.renewed('[1](results/none.md "took # s")', tmp_path)


def test_operations_has_no_figure_of_its_own() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"\[[^\]]*\]\([^)\s]+(?: \"[^\"]*\")?\)|`[^`]*`", "", prose)
    assert re.findall(r".*\d.*", prose) == []

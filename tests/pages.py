"""Blocks of code of README and docs, and how each is verified.

The line that opens a block of commands or Python says it, after the language:

    ```sh task=score               a step of that task, which tests/integration/test_ten_tasks.py runs
    ```sh task=connect terminals   the same; every line is a process that runs until it is stopped
    ```python verify               a test takes it by this name: block("docs/subscribing.md", "verify")
    ```python doctest              its examples are run by tests/unit/test_blocks.py
    ```sh not-run: REASON          not run, and why

Hosts of Markdown and Sphinx show the block by its first word and ignore the others.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
COMMANDS = frozenset({"sh", "bash", "shell", "console", "zsh"})
PYTHON = frozenset({"python", "py", "python3", "pycon"})
TASK = "task="
NOT_RUN = "not-run:"
DOCTEST = "doctest"


class Block(NamedTuple):
    """One fenced block. page: relative to the repository; line: of its fence; words: after the language."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def task(self) -> str | None:
        """The task that it is a step of."""
        found = [word.removeprefix(TASK) for word in self.words if word.startswith(TASK)]
        return found[0] if found else None

    @property
    def reason(self) -> str | None:
        """Why it is not run."""
        return " ".join(self.words[1:]) if self.words[:1] == (NOT_RUN,) else None

    @property
    def name(self) -> str | None:
        """The name by which a test takes it."""
        plain = len(self.words) == 1 and self.task is None and self.reason is None and self.words[0] != DOCTEST
        return self.words[0] if plain else None


def pages() -> list[Path]:
    """Pages for users, operators and contributors, generated ones and decisions included."""
    beside = [*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    built = {"node_modules", "target"}
    return sorted([*beside, *(page for page in (ROOT / "docs").rglob("*.md") if not built & set(page.parts))])


def blocks(page: Path, text: str | None = None) -> Iterator[Block]:
    """The fenced blocks of a page, in order, those within lists and quotes as well. text: instead of the file's."""
    name = str(page.relative_to(ROOT))
    for token in MarkdownIt().parse(page.read_text() if text is None else text):
        if token.type == "fence" and token.map:
            language, *words = token.info.split() or [""]
            yield Block(name, token.map[0] + 1, language, tuple(words), token.content)


def block(page: str, name: str) -> str:
    """The text of the one block of a page that has this name."""
    (found,) = [one.text for one in blocks(ROOT / page) if one.name == name]
    return found


def steps(task: str) -> list[Block]:
    """The blocks of a task, in the order of their pages and in each page."""
    return [one for page in pages() for one in blocks(page) if one.task == task]

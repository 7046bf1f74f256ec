"""Every block of commands or Python in README and docs is run by a test, or says why it is not."""

import ast
import doctest
import re

import pytest

from tests.pages import COMMANDS, DOCTEST, PYTHON, ROOT, Block, blocks, pages
from tests.tasks import TASKS

BLOCKS = [one for page in pages() for one in blocks(page)]
RUNNABLE = COMMANDS | PYTHON
REASON_WORDS = 3
LOOKS_LIKE_A_COMMAND = re.compile(r"^(?:\$ |undertone |make |docker |kubectl |pip |\.venv/bin/)", re.MULTILINE)


def taken_by_tests() -> set[tuple[str, str]]:
    """Page and name of every block that a test takes: the arguments of its calls of `block`."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "block":
                found.add(tuple(each.value for each in node.args if isinstance(each, ast.Constant)))
    return {(str(page), str(name)) for page, name in (one for one in found if len(one) == 2)}


def fault(one: Block, taken: set[tuple[str, str]]) -> str:
    """What is wrong with a block's mark; empty when it is run, or says why not."""
    if one.language not in RUNNABLE:
        return "name its language" if not one.language and LOOKS_LIKE_A_COMMAND.search(one.text) else ""
    if one.reason is not None:
        return "" if len(one.reason.split()) >= REASON_WORDS else "say in a few words why it is not run"
    if one.task is not None:
        return "" if one.task in TASKS else f"no task is called {one.task}"
    if one.words == (DOCTEST,):
        return "" if one.language in PYTHON else "only Python has doctests"
    if one.name is None:
        return "write how it is verified after its language: tests/pages.py lists the ways"
    return "" if (one.page, one.name) in taken else f'no test calls block("{one.page}", "{one.name}")'


def test_every_block_is_run_or_says_why_not() -> None:
    taken = taken_by_tests()
    faults = {one.place: fault(one, taken) for one in BLOCKS}
    assert {place: wrong for place, wrong in faults.items() if wrong} == {}
    assert sum(one.language in RUNNABLE for one in BLOCKS) > 20


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\nls\n```", "write how it is verified"),
        ("```python\nprint()\n```", "write how it is verified"),
        ("* a list\n\n  ```sh\n  ls\n  ```", "write how it is verified"),
        ("```\nundertone score memo.wav\n```", "name its language"),
        ("```sh not-run:\nls\n```", "say in a few words"),
        ("```sh task=nothing\nls\n```", "no task is called nothing"),
        ("```python unknown\nprint()\n```", 'no test calls block("README.md", "unknown")'),
        ("```sh doctest\nls\n```", "only Python"),
        ("```sh not-run: needs your cluster\nls\n```", ""),
        ("```json\n{}\n```\n\n```\nmemo -> score\n```", ""),
    ],
)
def test_a_block_without_a_valid_mark_is_found(text: str, wrong: str) -> None:
    found = [fault(one, set()) for one in blocks(ROOT / "README.md", text)]
    assert found
    assert all(each.startswith(wrong) if wrong else not each for each in found)


def failed_examples(page: str, text: str) -> int:
    """How many examples of a page print something else than it shows. Raises ValueError when it has none."""
    examples = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    if not examples.examples:
        raise ValueError(f"{page} has no example: a line of one begins with >>>")
    return doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples).failed


def test_examples_print_what_the_page_shows() -> None:
    for page in {one.page for one in BLOCKS if one.words == (DOCTEST,)}:
        text = "\n".join(one.text for one in BLOCKS if one.page == page and one.words == (DOCTEST,))
        assert failed_examples(page, text) == 0, page
    assert failed_examples("wrong", ">>> 1 + 1\n3\n") == 1
    with pytest.raises(ValueError, match="no example"):
        failed_examples("none", "print(1)")

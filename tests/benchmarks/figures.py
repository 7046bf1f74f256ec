"""Figures in documents, taken from the files that benchmarks wrote: `python -m tests.benchmarks.figures [--check]`.

A document writes a figure as a link to its file, whose title says where in the file it stands, with `#` in the figure's
place and `…` for other text on the line:

    [1.62](../tests/benchmarks/results/acoustic_cost.md "everything: pass, markers, windows | #")

The command puts in what the files say now; `--check` writes nothing and fails when a figure is not that.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "tests" / "benchmarks" / "results"
DOCUMENTS = tuple(ROOT / "docs" / name for name in ("operations.md", "model-card.md"))

_LINK = re.compile(r'\[([^\]\[]*)\]\(([./\w-]*results/([\w-]+\.md)) "([^"]+)"\)')
_NUMBER = r"(-?\d(?:[\d,]*\d)?(?:\.\d+)?)"


class FigureError(Exception):
    """A document quotes what its file does not say."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A figure in a document. text: as it stands there; file: of the result; place: the words around it in the file."""

    text: str
    file: str
    place: str


def quotes(document: str) -> Iterator[Quote]:
    """Every figure that a document quotes."""
    for text, _, file, place in _LINK.findall(document):
        yield Quote(text, file, place)


def figure(result: str, place: str) -> str:
    """The figure that stands at a place of a result. Raises FigureError unless there is exactly one `#` and one value.

    >>> figure("2 processes: 61 × real time", "processes: # × real")
    '61'
    """
    if place.count("#") != 1:
        raise FigureError(f"“{place}” must have one # where the figure stands")
    words = [re.escape(word).replace("\\#", _NUMBER).replace("…", r"[^\n]*?") for word in place.split()]
    found = set(re.findall(r"\s+".join(words), result))
    if len(found) != 1:
        raise FigureError(f"“{place}” is found with {len(found)} values; say there where the figure stands now")
    return str(found.pop())


def renewed(document: str, results: Path = RESULTS) -> str:
    """The document with every figure as its file has it. Raises FigureError, also for a file that is not there."""

    def put(link: re.Match[str]) -> str:
        path = results / link[3]
        if not path.is_file():
            raise FigureError(f"there is no result {link[3]}")
        try:
            now = figure(path.read_text(), link[4])
        except FigureError as error:
            raise FigureError(f"{link[3]}: {error}") from None
        return f'[{now}]({link[2]} "{link[4]}")'

    return _LINK.sub(put, document)


def main(arguments: list[str]) -> int:
    """The command."""
    faults = 0
    for path in DOCUMENTS:
        text = path.read_text()
        try:
            now = renewed(text)
        except FigureError as error:
            faults += 1
            print(f"docs/{path.name}: {error}", file=sys.stderr)
            continue
        if now != text and "--check" in arguments:
            faults += 1
            print(
                f"docs/{path.name} quotes figures that their files no longer say: run `make schemas`", file=sys.stderr
            )
        elif now != text:
            path.write_text(now)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

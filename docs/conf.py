"""How Sphinx makes the site of README and docs: `make docs`.

The source folder is the repository, so that links between README, docs and files work on the site as they do in a
checkout: a link to a page leads to the page, a link to any other file downloads it. Nothing that the built pages show
comes from another host.
"""

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
INDEX_OF_DECISIONS = "docs/decisions/README"
SECTIONS = {
    "First steps": ("docs/quickstart", "docs/score", "docs/train", "docs/budget"),
    "Connect": ("docs/connect", "docs/produce", "docs/clients/*", "docs/subscribing", "docs/python", "docs/cli"),
    "Operate": (
        "docs/operations",
        "docs/runbook",
        "docs/dashboard",
        "docs/privacy",
        "docs/audit",
        "docs/settings",
        "docs/metrics",
        "docs/architecture",
    ),
    "Reference": ("docs/*", "deploy/kafka/acls", INDEX_OF_DECISIONS, "workers/scoring/demo_bundle/README"),
    "Project": ("CONTRIBUTING", "SECURITY", "CHANGELOG", "tests/benchmarks/results/*"),
}
"""The navigation: pages by section, in order. A pattern adds the pages that no section before it names."""

project = "Undertone"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
project_copyright = "the authors of Undertone"
root_doc = "README"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
include_patterns = [
    *("*.md", "docs/**.md", "deploy/kafka/*.md", "tests/benchmarks/results/*.md"),
    "workers/scoring/demo_bundle/README.md",
]
exclude_patterns = [".*", "**/.*", "**/__pycache__", "**/node_modules", "**/target", "build", "dist", "shared"]
html_theme = "furo"
html_title = f"Undertone {version}"
html_copy_source = False
html_use_index = False
myst_heading_anchors = 4
"""Headings down to this level have anchors, made as hosts of Markdown make them."""


def toctrees(root: Path, sections: Mapping[str, Sequence[str]]) -> str:
    """Hidden directives that put the pages of some sections into the sidebar, for the end of the page above them."""
    listed = {root_doc}
    parts = []
    for caption, patterns in sections.items():
        found = [name for pattern in patterns for name in _pages(root, pattern)]
        names = [name for name in dict.fromkeys(found) if name not in listed]
        listed.update(names)
        caption_line = f":caption: {caption}\n" if caption else ""
        parts.append("\n".join([f"```{{toctree}}\n:hidden:\n{caption_line}", *(f"/{name}" for name in names), "```"]))
    return "\n\n".join(parts)


def _pages(root: Path, pattern: str) -> list[str]:
    return [str(path.relative_to(root).with_suffix("")) for path in sorted(root.glob(f"{pattern}.md"))]


def _add_navigation(app: Sphinx, name: str, content: list[str]) -> None:
    sections = {root_doc: SECTIONS, INDEX_OF_DECISIONS: {"": ("docs/decisions/[0-9t]*",)}}.get(name, {})
    content[0] += f"\n\n{toctrees(Path(app.srcdir), sections)}\n"


def _begin_at_the_first_page(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        shutil.copy(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Sphinx calls this once."""
    app.add_lexer("csv", TextLexer)  # shown as it is
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _begin_at_the_first_page)

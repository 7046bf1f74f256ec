"""The documentation site: it builds without a warning, holds every page, and loads nothing from other hosts."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.pages import pages

ROOT = Path(__file__).parent.parent.parent
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}
"""Elements that make a browser fetch something, and the attribute that says from where."""


class Fetches(HTMLParser):
    """Addresses that a browser loads by itself when it shows a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(LOADED.get(tag, "")) or ""
        if address:
            self.found.append(address)


def built(source: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The site of a folder, made as `make docs` makes it."""
    options = ["-qEW", "--keep-going", "--no-color", "-c", str(ROOT / "docs")]
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *options,
        "-d",
        str(folder / "doctrees"),
        str(source),
        str(folder / "site"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_every_page_of_docs_is_built_and_in_the_navigation(site: Path) -> None:
    first = (site / "index.html").read_text()
    written = [page.relative_to(ROOT).with_suffix("") for page in pages() if page.is_relative_to(ROOT / "docs")]
    assert len(written) > 40
    for page in written:
        assert (site / f"{page}.html").is_file(), page
        assert f'href="{page}.html"' in first, f"{page} is not in the sidebar"


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    addresses = {address for page in site.rglob("*.html") for address in Fetches(page.read_text()).found}
    assert any(address.endswith("searchtools.js") for address in addresses), "search is local"
    assert [address for address in addresses if re.match(r"(https?:)?//", address)] == []
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()) == [], sheet.name


def test_broken_links_and_anchors_fail_the_build(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    (source / "docs" / "other.md").write_text("# Other\n\n## Heading\n")
    good = "[a](docs/other.md#heading) [b](docs/other.md) [c](#first)"
    bad = "[d](docs/other.md#no-such-heading) [e](docs/nowhere.md) [f](#nothing)"
    (source / "README.md").write_text(f"# First\n\n{good}\n{bad}\n")
    done = built(source, tmp_path)
    assert done.returncode != 0
    assert re.findall(r"cross-reference target not found: '(.*)'", done.stderr) == ["docs/nowhere.md", "nothing"], (
        done.stderr
    )
    assert "no-such-heading" in done.stderr

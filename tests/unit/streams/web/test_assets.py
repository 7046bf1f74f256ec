"""Static files: addresses that change with their content, compression, and what is not served."""

import gzip
from pathlib import Path

import pytest

from streams.web.assets import FOREVER, STATIC, Assets, assets


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "a.css").write_text("body {}\n" * 500)
    (tmp_path / "b.svg").write_text("<svg/>")
    return {"a.css": tmp_path / "a.css", "b.svg": tmp_path / "b.svg"}


def test_the_address_changes_with_any_content(files: dict[str, Path]) -> None:
    before = Assets(files).address("a.css")
    assert Assets(files).address("a.css") == before
    files["b.svg"].write_text("<svg></svg>")
    assert Assets(files).address("a.css") != before
    with pytest.raises(KeyError):
        Assets(files).address("c.css")


def test_a_file_is_compressed_kept_for_good_and_not_sent_twice(files: dict[str, Path]) -> None:
    served = Assets(files)
    answer = served.answer(served.version, "a.css", {"accept-encoding": "br, gzip"})
    assert gzip.decompress(bytes(answer.body)) == files["a.css"].read_bytes()
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["content-type"].startswith("text/css")
    plain = served.answer(served.version, "a.css", {})
    assert bytes(plain.body) == files["a.css"].read_bytes()
    assert plain.headers["etag"] != answer.headers["etag"]
    known = {"accept-encoding": "gzip", "if-none-match": answer.headers["etag"]}
    assert served.answer(served.version, "a.css", known).status_code == 304


def test_a_small_file_is_sent_as_it_is(files: dict[str, Path]) -> None:
    served = Assets(files)
    assert "content-encoding" not in served.answer(served.version, "b.svg", {"accept-encoding": "gzip"}).headers


def test_another_release_gets_this_ones_file_and_does_not_keep_it(files: dict[str, Path]) -> None:
    answer = Assets(files).answer("older", "b.svg", {})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("name", ["", "c.css", "../pages.py", "a.css/", "/etc/passwd"])
def test_nothing_else_is_served(files: dict[str, Path], name: str) -> None:
    served = Assets(files)
    assert served.answer(served.version, name, {}).status_code == 404


def test_what_pages_load_at_first_view_stays_under_its_budget() -> None:
    """Style, scripts and the chart library, compressed: with a page of 60 KB below 600 KB."""
    own = assets()
    names = [path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()]
    answers = [own.answer(own.version, name, {"accept-encoding": "gzip"}) for name in [*names, "bokeh/bokeh.min.js"]]
    assert sum(len(answer.body) for answer in answers) <= 540_000

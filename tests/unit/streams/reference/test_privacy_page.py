"""`docs/privacy.md` is made from the tables of places, and none is missing."""

from pathlib import Path

import pytest

from schemas.state_keys import STATE_KEYS
from schemas.stored_files import STORED_FILES
from schemas.topics import TOPICS
from streams.history.tables import METADATA
from streams.reference.privacy_page import PAGE, main, privacy_page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == privacy_page(), "run `make schemas`"


def test_a_page_that_is_out_of_date_is_found_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "privacy.md"
    assert main(["--check"], path) == 1
    assert "privacy.md is out of date: run `make schemas`" in capsys.readouterr().err
    assert main([], path) == 0
    assert main(["--check"], path) == 0


def test_it_lists_every_topic_key_table_and_file() -> None:
    page = privacy_page()
    places = [
        *(f"| `{topic.name}` |" for topic in TOPICS),
        *(f"| `{row.pattern}` |" for row in STATE_KEYS),
        *(f"| `{name}` |" for name in METADATA.tables),
        *(f"| {row.name} | {row.path} |" for row in STORED_FILES),
    ]
    assert [place for place in places if place not in page] == []

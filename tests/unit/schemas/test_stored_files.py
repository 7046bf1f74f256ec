"""The table of files names all that a home holds."""

import re
from pathlib import Path

from schemas.settings import Settings
from schemas.stored_files import JOURNAL, STORED_FILES
from streams.local.private_files import OURS

PACKAGES = Path(__file__).parents[3]


def test_no_file_of_a_home_is_missing() -> None:
    """What a home is tightened for and what an erasure loops over are the same."""
    listed = {name for row in STORED_FILES for name in row.names}
    assert set(OURS) <= listed


def test_a_database_comes_with_the_files_beside_it() -> None:
    assert JOURNAL.names == ("journal.db", "journal.db-wal", "journal.db-shm")


def test_no_file_is_listed_twice_and_every_row_says_all() -> None:
    assert len({row.name for row in STORED_FILES}) == len(STORED_FILES)
    for row in STORED_FILES:
        assert all((row.path, row.holds, row.lifetime)), row.name
        for setting in re.findall(r"UNDERTONE_([A-Z_]+)", f"{row.path} {row.lifetime} {row.holds}"):
            assert setting.lower() in Settings.model_fields


def test_temporary_folders_of_the_code_are_in_the_table() -> None:
    """A prefix of `tempfile` that no row names would escape the data map."""
    given = re.compile(r"(?:TemporaryDirectory|mkdtemp|mkstemp|NamedTemporaryFile)\(\s*(?:prefix=\"([^\"]+)\")?")
    listed = {row.path.removeprefix("TMPDIR/").removesuffix("*") for row in STORED_FILES}
    found = [
        (str(path.relative_to(PACKAGES)), match[1])
        for package in ("schemas", "workers", "streams")
        for path in (PACKAGES / package).rglob("*.py")
        for match in given.finditer(path.read_text())
    ]
    assert [place for place in found if place[1] not in listed] == []

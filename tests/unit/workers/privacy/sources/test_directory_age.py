"""How far a key directory is only grows, and one that is behind makes no keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Transient
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sources.directory_age import Age, age_of, note_behind, note_months


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyDirectory]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    settings = sealing(tmp_path, key_directory_url=url)
    KeyDirectory.init(settings)
    opened = KeyDirectory.open(settings)
    yield opened
    opened.close()


def test_less_of_either_is_older() -> None:
    seen = Age(5, 300)
    assert [age for age in (Age(4, 301), Age(6, 299), Age(5, 300), Age(6, 301)) if age.is_older(seen)] == [
        Age(4, 301),
        Age(6, 299),
    ]
    assert Age(4, 301).newest(seen) == Age(5, 301)


def test_the_newest_month_never_goes_back(directory: KeyDirectory) -> None:
    for months in ([320, 310], [319], [], [321]):
        with directory.database.writing() as connection:
            note_months(connection, months)
    assert age_of(directory.database) == (Age(0, 321), False)


def test_a_directory_that_is_noted_as_behind_makes_no_keys_until_that_is_taken_back(directory: KeyDirectory) -> None:
    ann = directory.enrol(["ann"])["ann"]
    note_behind(directory.database, True)
    for makes_keys in (lambda: directory.enrol(["ben"]), lambda: directory.make_keys([(ann.id, 4000)])):
        with pytest.raises(Transient, match="older one"):
            makes_keys()
    assert directory.enrol(["ann"]) == {"ann": ann}
    note_behind(directory.database, False)
    assert directory.make_keys([(ann.id, 4000)])
    assert age_of(directory.database)[0].month == 4000

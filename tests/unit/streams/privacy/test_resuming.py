"""Who is being erased is kept sealed until the certificate, and one process at a time is at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from schemas.errors import Transient
from schemas.key_purposes import LAST_EPOCH
from streams.privacy.journal import ErasureJournal, Request
from streams.privacy.places import Person
from streams.privacy.resuming import HELD_S, Resuming
from streams.privacy.steps import Step
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import DATA_KEYS, ERASURE_RUNS

PERSON, REQUEST = Person("a-rare-pseudonym", bytes(range(16))), Request("asked", "T-1")


class Clock:
    """Unix time that a test moves."""

    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyDirectory]:
    """With an erasure that was begun."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    settings = sealing(tmp_path, key_directory_url=url)
    KeyDirectory.init(settings)
    opened = KeyDirectory.open(settings)
    ErasureJournal(opened.database).begin(PERSON, "ab" * 32, REQUEST)
    yield opened
    opened.close()


def test_one_process_holds_it_and_another_when_that_has_ended(directory: KeyDirectory) -> None:
    clock = Clock()
    one, other = Resuming(directory.database, clock), Resuming(directory.database, clock)
    assert not one.hold(PERSON.subject), "it is not kept"
    one.keep(directory, PERSON)
    other.keep(directory, PERSON)
    assert one.waiting(()) == [PERSON.subject]
    assert one.waiting([PERSON.subject]) == []
    assert one.hold(PERSON.subject)
    assert not other.hold(PERSON.subject)
    assert (one.held(), other.waiting(())) == ({PERSON.subject}, [])
    clock.now += HELD_S - 1
    assert one.hold(PERSON.subject), "it renews it"
    clock.now += HELD_S - 1
    assert not other.hold(PERSON.subject)
    clock.now += 1
    assert other.waiting(()) == [PERSON.subject]
    assert other.hold(PERSON.subject)
    one.release(PERSON.subject)
    assert not one.hold(PERSON.subject), "it is another one's to release"
    other.release(PERSON.subject)
    assert one.hold(PERSON.subject)
    clock.now -= 10 * HELD_S
    assert other.hold(PERSON.subject), "a clock that was ahead holds no one up"


def test_who_it_is_opens_after_a_rotation_and_leaves_nothing_with_the_certificate(directory: KeyDirectory) -> None:
    resuming = Resuming(directory.database)
    resuming.keep(directory, PERSON)
    directory.rotate_store_key()
    directory.destroy_epochs(LAST_EPOCH)
    assert resuming.resumed(directory, PERSON.subject) == (PERSON, REQUEST)
    # A command has finished it.
    ErasureJournal(directory.database).record(PERSON.subject, Step.CERTIFY, {"certificate": "{}"})
    assert resuming.waiting(()) == []
    with directory.database.reading() as connection:
        assert connection.execute(select(ERASURE_RUNS)).all() == []
        assert connection.execute(select(DATA_KEYS).where(DATA_KEYS.c.epoch == LAST_EPOCH)).all() == []


def test_one_that_does_not_open_says_what_to_do(directory: KeyDirectory) -> None:
    resuming = Resuming(directory.database)
    resuming.keep(directory, PERSON)
    with directory.database.writing() as connection:
        connection.execute(DATA_KEYS.delete())
    with pytest.raises(Transient, match="ask for the erasure again"):
        resuming.resumed(directory, PERSON.subject)


def test_no_file_names_the_person(tmp_path: Path) -> None:
    opened = KeyDirectory.open(sealing(tmp_path))
    Resuming(opened.database).keep(opened, PERSON)
    assert not any(PERSON.named_in(path.read_bytes()) for path in tmp_path.iterdir())
    opened.close()

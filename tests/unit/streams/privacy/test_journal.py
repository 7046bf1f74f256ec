"""The journal of erasures says where one goes on, in both databases, and names no one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.privacy.journal import ErasureJournal, Request
from streams.privacy.places import Person
from streams.privacy.steps import Step
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory

PERSON, HASH = Person("a-rare-pseudonym", bytes(range(16))), "ab" * 32


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyDirectory]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    settings = sealing(tmp_path, key_directory_url=url)
    KeyDirectory.init(settings)
    opened = KeyDirectory.open(settings)
    yield opened
    opened.close()


def test_an_erasure_goes_on_as_it_was_begun(directory: KeyDirectory) -> None:
    journal = ErasureJournal(directory.database)
    assert journal.subject_of(HASH, finished=False) is None
    begun = journal.begin(PERSON, HASH, Request("asked", "T-1"))
    journal.record(PERSON.subject, Step.REFUSE, {"keys": [0, 323]})
    journal.record(PERSON.subject, Step.DESTROY, {"at": "now"})
    again = ErasureJournal(directory.database).begin(PERSON, HASH, Request("another reason"))
    assert (again.reason, again.ticket) == ("asked", "T-1")
    assert again.started_at == begun.started_at
    assert again.done == {Step.REFUSE: {"keys": [0, 323]}, Step.DESTROY: {"at": "now"}}
    assert journal.subject_of(HASH, finished=False) == PERSON.subject
    assert journal.subject_of(HASH, finished=True) is None


def test_a_finished_one_keeps_its_certificate(directory: KeyDirectory) -> None:
    journal = ErasureJournal(directory.database)
    journal.begin(PERSON, HASH, Request("asked"))
    journal.record(PERSON.subject, Step.CERTIFY, {"certificate": "{}\n"})
    assert journal.subject_of(HASH, finished=False) is None
    assert journal.subject_of(HASH, finished=True) == PERSON.subject
    assert journal.begin(PERSON, HASH, Request("asked")).done[Step.CERTIFY] == {"certificate": "{}\n"}


def test_no_file_names_the_person(tmp_path: Path) -> None:
    directory = KeyDirectory.open(sealing(tmp_path))
    ErasureJournal(directory.database).begin(PERSON, HASH, Request("asked"))
    assert not any(PERSON.named_in(path.read_bytes()) for path in tmp_path.iterdir())
    directory.close()

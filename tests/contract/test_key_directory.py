"""One contract for the key directory in SQLite and in PostgreSQL."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from schemas.errors import ConfigurationError
from schemas.key_purposes import LASTING
from schemas.settings import Settings
from tests.key_directories import MONTH, change, directory, keys_of, rows, sealed_settings
from tests.keys import sealing
from workers.privacy import key_tables
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_services.local_keyset import LocalKeyset
from workers.privacy.key_tables import DATA_KEYS, PERSONS, STORE_KEYS
from workers.privacy.person_keys import ERASED, PersonState

__all__ = ["directory", "sealed_settings"]


def test_a_person_is_enrolled_once(directory: KeyDirectory) -> None:
    assert directory.subjects_of(["ann"]) == {}
    first = directory.enrol(["ann", "ben", "ann"])
    assert directory.enrol(["ben", "ann"]) == first
    assert directory.subjects_of(["ann", "cat"]) == {"ann": first["ann"]}
    assert {len(subject.id) for subject in first.values()} == {16}
    assert directory.names_of([subject.id for subject in first.values()]) == {
        subject.id: user for user, subject in first.items()
    }


def test_keys_are_there_or_unknown(directory: KeyDirectory) -> None:
    subject = directory.enrol(["ann"])["ann"].id
    known = directory.keys_of([(subject, LASTING), (subject, MONTH), (subject, MONTH + 1), (bytes(16), MONTH)])
    assert set(known) == {(subject, LASTING), (subject, MONTH)}
    assert len({*known.values()}) == 2
    made = directory.make_keys([(subject, MONTH), (subject, MONTH + 1), (bytes(16), MONTH)])
    assert made[subject, MONTH] == known[subject, MONTH]
    assert set(made) == {(subject, MONTH), (subject, MONTH + 1)}
    assert directory.make_keys([(subject, MONTH + 1)])[subject, MONTH + 1] == made[subject, MONTH + 1]


def test_many_are_enrolled_at_once(directory: KeyDirectory) -> None:
    users = [f"user-{number}" for number in range(key_tables.AT_ONCE + 1)]
    subjects = directory.enrol(users)
    assert len({subject.id for subject in subjects.values()}) == len(users)
    assert directory.subjects_of(users) == subjects
    assert len(directory.keys_of([(subject.id, LASTING) for subject in subjects.values()])) == len(users)


def test_processes_that_enrol_the_same_person_at_once_agree(sealed_settings: Settings) -> None:
    directories = [KeyDirectory.open(sealed_settings) for _ in range(4)]
    start = threading.Barrier(4)

    def enrol(directory: KeyDirectory) -> dict[str, bytes]:
        start.wait()
        return {user: subject.id for number in range(20) for user, subject in directory.enrol([f"u{number}"]).items()}

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(enrol, directories))
    assert found[0] == found[1] == found[2] == found[3]
    assert len(rows(directories[0], PERSONS)) == 20
    assert len(rows(directories[0], DATA_KEYS)) == 40
    assert len(keys_of(directories[0], *found[0])) == 40
    for opened in directories:
        opened.close()


ENROL = """
import sys
from pathlib import Path
from schemas.settings import Settings
from workers.privacy.key_directory import KeyDirectory

directory = KeyDirectory.open(Settings.load(home=Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
print(directory.enrol(["ann"])["ann"].id.hex())
directory.close()
"""


def test_two_processes_that_make_the_directory_and_enrol_a_person_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENROL, str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    found = {process.communicate("go\n", timeout=60)[0] for process in processes}
    assert len(found) == 1
    assert len(found.pop().strip()) == 32


def test_no_row_names_a_person(sealed_settings: Settings, directory: KeyDirectory) -> None:
    directory.enrol(["a-rare-pseudonym"])
    directory.rotate_store_key()
    stored = repr([rows(directory, table) for table in (STORE_KEYS, PERSONS, DATA_KEYS)])
    assert "rare" not in stored
    if sealed_settings.key_directory_url is None:
        for file in sealed_settings.home.iterdir():
            assert b"rare-pseudonym" not in file.read_bytes()
            assert file.stat().st_mode & 0o077 == 0, file.name


def test_erasing_refuses_and_destroying_leaves_a_tombstone(directory: KeyDirectory) -> None:
    subject = directory.enrol(["ann", "ben"])["ann"].id
    ben = keys_of(directory, "ben")
    marked = directory.mark_erasing("ann")
    assert marked is not None
    assert marked.state is PersonState.ERASING
    assert directory.enrol(["ann"])["ann"].state is PersonState.ERASING
    assert directory.keys_of([(subject, MONTH)]) == {(subject, MONTH): ERASED}
    assert directory.make_keys([(subject, MONTH + 1)]) == {(subject, MONTH + 1): ERASED}

    assert directory.destroy_keys(subject) == [LASTING, MONTH]
    assert directory.destroy_keys(subject) == []
    assert directory.subjects_of(["ann"]) == {}
    assert directory.names_of([subject]) == {subject: ERASED}
    assert directory.people([subject])[subject].state is PersonState.ERASED
    assert directory.make_keys([(subject, LASTING), (subject, MONTH)]) == {
        (subject, LASTING): ERASED,
        (subject, MONTH): ERASED,
    }
    assert directory.mark_erasing("ann") is None
    assert directory.enrol(["ann"])["ann"].id != subject
    assert keys_of(directory, "ben") == ben


def test_retention_destroys_months_for_ever_and_no_lasting_key(directory: KeyDirectory) -> None:
    subject = directory.enrol(["ann"])["ann"].id
    directory.make_keys([(subject, MONTH - 2), (subject, MONTH - 1)])
    assert directory.destroy_epochs(MONTH) == 2
    old = [(subject, MONTH - 2), (subject, MONTH - 1)]
    assert directory.make_keys(old) == dict.fromkeys(old, ERASED)
    assert len(keys_of(directory, "ann")) == 2
    assert directory.destroy_epochs(MONTH - 5) == 0
    assert directory.keys_of(old) == dict.fromkeys(old, ERASED)


@pytest.mark.parametrize(
    "damage",
    [
        update(DATA_KEYS).where(DATA_KEYS.c.epoch == MONTH).values(wrapped=b"damaged"),
        update(DATA_KEYS).where(DATA_KEYS.c.epoch == MONTH).values(wrapped=b""),
        update(DATA_KEYS).where(DATA_KEYS.c.epoch == MONTH).values(store_key=99),
        delete(DATA_KEYS).where(DATA_KEYS.c.epoch == MONTH),
    ],
    ids=["other bytes", "no bytes", "no such store key", "no row"],
)
def test_a_damaged_key_is_unknown_and_costs_no_neighbour(directory: KeyDirectory, damage: Any) -> None:
    subjects = directory.enrol(["ann", "ben"])
    before = keys_of(directory, "ben")
    change(directory, damage.where(DATA_KEYS.c.subject == subjects["ann"].id))
    assert set(keys_of(directory, "ann")) == {("ann", LASTING)}
    assert keys_of(directory, "ben") == before
    assert directory.names_of([subjects["ann"].id]) == {subjects["ann"].id: "ann"}
    directory.rotate_store_key()
    assert keys_of(directory, "ben") == before


def test_the_status_counts_people_keys_and_damage(directory: KeyDirectory) -> None:
    subjects = directory.enrol(["ann", "ben", "cat"])
    directory.make_keys([(subjects["ann"].id, MONTH - 1)])
    directory.mark_erasing("ben")
    directory.destroy_keys(subjects["cat"].id)
    change(directory, update(DATA_KEYS).where(DATA_KEYS.c.subject == subjects["ben"].id).values(wrapped=b"x"))
    found = directory.status()
    assert (found.people, found.erasing, found.erased, found.keys, found.damaged) == (1, 1, 1, 5, 2)
    assert (found.store_key, found.rotating, found.oldest, found.destroyed_before) == (1, False, MONTH - 1, 0)
    assert directory.keys_before(MONTH) == 1
    directory.destroy_epochs(MONTH)
    found = directory.status()
    assert (found.keys, found.oldest, found.destroyed_before) == (4, MONTH, MONTH)


def test_exchanged_rows_open_nothing(directory: KeyDirectory) -> None:
    ann, ben = (subject.id for _, subject in sorted(directory.enrol(["ann", "ben"]).items()))
    (stolen,) = [row.wrapped for row in rows(directory, DATA_KEYS) if (row.subject, row.epoch) == (ben, MONTH)]
    change(
        directory,
        update(DATA_KEYS).where(DATA_KEYS.c.subject == ann, DATA_KEYS.c.epoch == MONTH).values(wrapped=stolen),
    )
    assert (ann, MONTH) not in directory.keys_of([(ann, MONTH)])
    change(directory, update(PERSONS).where(PERSONS.c.subject == ann).values(name=b"x" * 40))
    assert directory.names_of([ann]) == {}


def test_a_directory_without_tables_or_with_another_keyset_says_so(sealed_settings: Settings, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.json"
    LocalKeyset(foreign).create()
    with pytest.raises(ConfigurationError, match="different installations"):
        KeyDirectory.open(
            sealing(sealed_settings.home, kms=f"local:{foreign}", key_directory_url=sealed_settings.key_directory_url)
        )
    assert not KeyDirectory.init(sealed_settings)

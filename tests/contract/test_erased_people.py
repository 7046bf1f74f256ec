"""What a key directory remembers of an erasure, in both databases: whom it concerned, and when; and nobody's name."""

import time

import pytest
from sqlalchemy import delete

from schemas.errors import Transient
from schemas.key_purposes import LASTING
from schemas.settings import Settings
from streams.history import cohorts
from streams.history.database import Database
from tests.key_directories import change, directory, rows, sealed_settings
from tests.keys import note_erasure
from workers.privacy.clear_records import NEVER, NOW
from workers.privacy.erased_people import ITSELF
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import DATA_KEYS, ERASURES
from workers.privacy.person_keys import PersonState
from workers.privacy.sealing import close_all

__all__ = ["directory", "sealed_settings"]


def erased(directory: KeyDirectory, user: str) -> bytes:
    """Erase a person who is in the directory; the tombstone's subject."""
    found = directory.subjects_of([user])[user]
    note_erasure(directory, user, found.id)
    directory.mark_erasing(user)
    directory.destroy_keys(found.id)
    return found.id


def test_where_nobody_was_erased_looking_makes_no_key(directory: KeyDirectory) -> None:
    assert directory.last_erasures(["ann"]) == {}
    directory.enrol(["ann"])
    assert directory.subjects_of([ITSELF]) == {}


def test_the_last_erasure_of_a_pseudonym_is_found_and_no_other(directory: KeyDirectory) -> None:
    directory.enrol(["ann", "ben"])
    began = time.time()
    first = erased(directory, "ann")
    assert directory.last_erasures(["ann", "ben", "eve"]).keys() == {"ann"}
    again = directory.enrol(["ann"], NOW)["ann"]
    assert again.id != first
    second = erased(directory, "ann")
    found = directory.last_erasures(["ann"])["ann"]
    assert found.subject == second == again.id
    assert began <= found.at <= time.time()
    directory.rotate_store_key()
    assert directory.last_erasures(["ann"]) == {"ann": found}, "as after every erasure"
    assert not [row for row in rows(directory, ERASURES) if "ann" in repr(row)]


def test_only_what_is_newer_than_the_erasure_makes_a_person_anew(directory: KeyDirectory) -> None:
    directory.enrol(["ann"])
    tombstone = erased(directory, "ann")
    at = directory.last_erasures(["ann"])["ann"].at
    for since in (NEVER, at - 1, at, {"ann": at}, {"ben": NOW}):
        assert directory.enrol(["ann"], since)["ann"] == (tombstone, PersonState.ERASED)
    assert directory.subjects_of(["ann"]) == {}
    both = directory.enrol(["ann", "ben"], {"ann": at + 0.001})
    assert {user: subject.state for user, subject in both.items()} == dict.fromkeys(("ann", "ben"), PersonState.ACTIVE)
    assert directory.enrol(["ann"])["ann"] == both["ann"], "who has returned is here"


def test_who_is_being_erased_is_not_made_anew_by_anything(directory: KeyDirectory) -> None:
    found = directory.enrol(["ann"])["ann"]
    note_erasure(directory, "ann", found.id)
    directory.mark_erasing("ann")
    assert directory.enrol(["ann"], NOW)["ann"].state is PersonState.ERASING
    assert directory.last_erasures(["ann"]) == {}, "its moment is that at which the keys are destroyed"


def test_without_its_own_key_a_directory_enrols_nobody(directory: KeyDirectory, sealed_settings: Settings) -> None:
    directory.enrol(["ann"])
    erased(directory, "ann")
    own = directory.subjects_of([ITSELF])[ITSELF].id
    change(directory, delete(DATA_KEYS).where(DATA_KEYS.c.subject == own, DATA_KEYS.c.epoch == LASTING))
    other = KeyDirectory.open(sealed_settings)
    with pytest.raises(Transient, match="own key"):
        other.enrol(["eve"])
    other.close()


def test_a_file_of_cohorts_brings_nobody_back(directory: KeyDirectory, sealed_settings: Settings) -> None:
    directory.enrol(["ann", "ben"])
    erased(directory, "ann")
    Database.migrate(sealed_settings)
    database = Database.open(sealed_settings)
    with database.engine.begin() as connection:
        assert cohorts.replace_members(connection, [("ann", "ward"), ("ben", "ward"), ("eve", "ward")]) == 2
    assert directory.subjects_of(["ann", "ben", "eve"]).keys() == {"ben", "eve"}
    database.close()
    close_all()

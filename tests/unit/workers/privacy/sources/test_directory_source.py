"""Look-ups in a key directory: one answer for people to seal for and values to open."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.errors import Transient
from schemas.key_purposes import LASTING, epoch_of
from tests.keys import note_erasure, sealing
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.person_keys import ERASED, PersonState
from workers.privacy.sources.lookup import Lookup

MONTH = epoch_of(datetime.now(UTC))
ANNA = Lookup(MONTH, frozenset({"anna"}), enrol=True)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[KeyDirectory]:
    opened = KeyDirectory.open(sealing(tmp_path))
    yield opened
    opened.close()


def test_one_answer_has_people_and_all_their_keys(directory: KeyDirectory) -> None:
    first = directory.look_up(ANNA)
    ((anna, (user, person)),) = first.people.items()
    assert (user, person.state, set(first.keys)) == ("anna", PersonState.ACTIVE, {(anna, LASTING), (anna, MONTH)})
    again = directory.look_up(Lookup(MONTH, frozenset({"ben"}), frozenset({(anna, MONTH)}), enrol=True))
    assert {name for name, _ in again.people.values()} == {"anna", "ben"}
    assert again.keys[anna, MONTH] == first.keys[anna, MONTH]


def test_nobody_is_enrolled_unasked_and_unknown_subjects_have_no_answer(directory: KeyDirectory) -> None:
    found = directory.look_up(Lookup(MONTH, frozenset({"anna"}), frozenset({(bytes(16), MONTH)})))
    assert (dict(found.people), dict(found.keys)) == ({}, {})
    assert directory.status().people == 0


def test_of_an_erased_person_there_is_the_state_and_no_key(directory: KeyDirectory) -> None:
    (anna,) = directory.look_up(ANNA).people
    note_erasure(directory, "anna", anna)
    directory.mark_erasing("anna")
    directory.destroy_keys(anna)
    found = directory.look_up(Lookup(MONTH, frames=frozenset({(anna, MONTH)})))
    assert found.people[anna][1].state is PersonState.ERASED
    assert set(found.keys.values()) == {ERASED}
    assert found.destroyed_before == 0


def test_keys_and_people_that_a_process_has_had_are_not_made_again(directory: KeyDirectory, tmp_path: Path) -> None:
    (anna,) = directory.look_up(ANNA).people
    empty = KeyDirectory.open(sealing(tmp_path / "restored"))
    with pytest.raises(Transient, match="replaced by an older one"):
        empty.look_up(replace(ANNA, known={"anna": anna}))
    assert empty.status().people == 0
    empty.close()
    directory.destroy_epochs(0)
    later = replace(ANNA, month=MONTH + 1, met=frozenset({(anna, MONTH + 1)}))
    with pytest.raises(Transient, match="replaced by an older one"):
        directory.look_up(later)
    assert (anna, MONTH + 1) not in directory.months_of_people()

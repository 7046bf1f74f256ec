"""The steps about keys, on a real key directory."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Erased, Transient
from schemas.key_purposes import LASTING, Purpose
from schemas.limits import ID
from schemas.settings import Settings
from streams.privacy.certificate import verified
from streams.privacy.directory_keys import ASK_EVERY_S, MARGIN_S, DirectoryKeys
from streams.privacy.journal import ErasureJournal, Request
from streams.privacy.places import Person
from streams.privacy.steps import Facts
from tests.keys import sealing
from workers.privacy.erased_people import ITSELF
from workers.privacy.holders.key_holders import KeyHolder
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return sealing(tmp_path / "home", key_cache_s=7.0)


@pytest.fixture
def directory(settings: Settings) -> Iterator[KeyDirectory]:
    opened = KeyDirectory.open(settings)
    yield opened
    opened.close()


def test_own_keys_stay_the_same_through_rotations(settings: Settings, directory: KeyDirectory) -> None:
    keys = DirectoryKeys(directory, settings.key_cache_s)
    hashed, certificate = keys.person_hash("anna"), keys.sign({"format": 1})
    directory.rotate_store_key()
    other = KeyDirectory.open(settings)
    again = DirectoryKeys(other, settings.key_cache_s)
    assert again.person_hash("anna") == hashed != again.person_hash("ben")
    assert verified(certificate, again.public_key()) == {"format": 1}
    assert again.sign({"format": 1}) == certificate
    other.close()


def test_no_pseudonym_is_the_name_of_undertone_itself() -> None:
    assert not ID.accepts(ITSELF)


def test_the_steps_end_every_way_to_the_keys(settings: Settings, directory: KeyDirectory, tmp_path: Path) -> None:
    subjects = directory.enrol(["anna", "ben"])
    keyring = Keyring.open(settings)
    keyring.warm_now(["anna", "ben"])
    person = Person("anna", subjects["anna"].id)
    keys = DirectoryKeys(directory, settings.key_cache_s)
    keys.person_hash("anna")
    shutil.copytree(settings.home, tmp_path / "backup")

    refused = keys.refuse(person)
    assert len(refused["keys"]) == 2  # type: ignore[arg-type]
    assert keys.refuse(person)["keys"] == refused["keys"], "it may be repeated"
    keys.destroy(person)
    keys.destroy(person)
    rotated = keys.rotate()
    assert rotated["store_key"] == 2
    assert set(rotated["destroyed"]) == {"1"}  # type: ignore[arg-type]
    assert set(keys.rotate()["destroyed"]) == {"1", "2"}, "the receipt of the first is there after a repeat"  # type: ignore[arg-type]

    fresh = Keyring.open(settings)
    fresh.warm_now(["ben"], [(person.subject, LASTING)])
    assert fresh.subkey(fresh.subject("ben"), LASTING, Purpose.STATE)
    with pytest.raises(Erased):
        fresh.subkey(person.subject, LASTING, Purpose.STATE)
    keyring.close()
    fresh.close()

    # The files of before, with the key service of now.
    shutil.copy(settings.home / "keyset.json", tmp_path / "backup" / "keyset.json")
    with pytest.raises(Exception, match="older than the last rotation"):
        KeyDirectory.open(sealing(tmp_path / "backup"))


def forgotten(settings: Settings, directory: KeyDirectory, person: Person, beats: list[KeyHolder]) -> Facts:
    """The step, in which each of these processes looks into the directory once."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if beats:
            beats.pop().beat()

    facts = asyncio.run(DirectoryKeys(directory, settings.key_cache_s, sleep).forgotten(person))
    assert round(sum(waited)) == facts["waited_s"]
    assert verified(DirectoryKeys(directory, 0.0).sign({"format": 1, **facts}))
    return facts


def test_an_erasure_goes_on_when_every_process_that_may_hold_keys_has_dropped_them(
    settings: Settings, directory: KeyDirectory
) -> None:
    person = Person("anna", directory.enrol([ITSELF, "anna"])["anna"].id)
    holders = [KeyHolder(directory.holders, lambda _: None) for _ in range(3)]
    for each in holders:
        each.beat()
    ErasureJournal(directory.database).begin(person, "ab" * 32, Request("asked"))
    directory.mark_erasing("anna")
    facts = forgotten(settings, directory, person, list(holders))
    assert (facts["ended_by"], facts["processes"], facts["acknowledged"]) == ("acknowledgement", 3, 3)
    assert facts["waited_s"] == round(3 * ASK_EVERY_S)
    for each in holders:
        each.close()


def test_a_process_that_died_is_waited_for_as_long_as_it_may_keep_a_key(
    settings: Settings, directory: KeyDirectory
) -> None:
    person = Person("anna", directory.enrol([ITSELF, "anna"])["anna"].id)
    KeyHolder(directory.holders, lambda _: None).beat()
    ErasureJournal(directory.database).begin(person, "ab" * 32, Request("asked"))
    directory.mark_erasing("anna")
    facts = forgotten(settings, directory, person, [])
    assert (facts["ended_by"], facts["processes"], facts["acknowledged"]) == ("time", 1, 0)
    assert facts["waited_s"] == round(settings.key_cache_s + MARGIN_S)


def test_without_undertones_own_key_nothing_is_signed(settings: Settings, directory: KeyDirectory) -> None:
    keys = DirectoryKeys(directory, settings.key_cache_s)
    directory.enrol([ITSELF])
    directory.mark_erasing(ITSELF)
    with pytest.raises(Transient, match="own key"):
        keys.sign({"format": 1})

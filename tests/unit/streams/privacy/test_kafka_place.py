"""Every record of every topic is tried: what opens, and what names the person, is found."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.topics import AUDIT, CONSENTS, FEATURES, TOPICS, UPLOADED, Topic
from streams.privacy.erasing import opens
from streams.privacy.kafka_place import KafkaPlace
from streams.privacy.places import Person, Trial
from tests.keys import sealing
from workers.privacy.envelope import seal
from workers.privacy.keyring import Keyring


@dataclass
class Record:
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


async def not_needed(topic: Topic, key: bytes) -> None:
    raise AssertionError(topic)


def attempted(topic: Topic, records: list[Record], keyring: Keyring, person: Person) -> Trial:
    async def read(asked: Topic) -> AsyncGenerator[Record, None]:
        for record in records if asked is topic else []:
            yield record

    place = KafkaPlace(read, lambda asked, value: opens(keyring, asked, value), not_needed)
    found = asyncio.run(place.attempt(person))
    assert list(found) == [each.name for each in TOPICS]
    return found[topic.name]


@pytest.fixture
def person(keyring: Keyring) -> Person:
    keyring.warm_now(["anna", "ben"], enrol=True)
    return Person("anna", keyring.subject("anna"))


def sealed(keyring: Keyring, user: str, topic: Topic = FEATURES) -> Record:
    value = seal(keyring, topic.name, topic.record.__name__, user, b"features of a memo")
    return Record(keyring.subject(user).hex().encode(), value)


def test_records_open_before_and_do_not_after(keyring: Keyring, person: Person, tmp_path: Path) -> None:
    records = [sealed(keyring, "anna"), sealed(keyring, "ben"), sealed(keyring, "anna")]
    assert attempted(FEATURES, records, keyring, person) == Trial(tried=3, sealed=2, opened=2)
    keyring.directory.destroy_keys(person.subject)
    fresh = Keyring.open(sealing(tmp_path / "keys"))
    assert attempted(FEATURES, records, fresh, person) == Trial(tried=3, sealed=2)
    assert attempted(FEATURES, records, fresh, Person("ben", keyring.subject("ben"))).opened == 1
    fresh.close()


def test_a_record_that_was_moved_to_another_key_is_the_persons_still(keyring: Keyring, person: Person) -> None:
    moved = Record(b"somebody", sealed(keyring, "anna").value)
    assert attempted(FEATURES, [moved], keyring, person).sealed == 1


@pytest.mark.parametrize(
    "record",
    [
        Record(b"anna", b"\xc3\x01"),
        Record(b"k", b"\x08anna\xf0"),
        Record(b"k", None, (("about", b"anna"),)),
        Record(None, b"anna"),
    ],
)
def test_the_pseudonym_is_found_in_key_value_and_headers(keyring: Keyring, person: Person, record: Record) -> None:
    assert attempted(UPLOADED, [record], keyring, person) == Trial(tried=1, named=1)
    assert attempted(AUDIT, [record], keyring, person) == Trial(tried=1, kept=1), "the audit trail keeps what it has"


def test_others_are_not_mistaken_for_the_person(keyring: Keyring, person: Person) -> None:
    records = [Record(b"anna-2", b"annabel"), Record(), Record(b"\xff", b"\xc3\x53cut")]
    assert attempted(UPLOADED, records, keyring, person) == Trial(tried=3)


def test_words_in_clear_which_compaction_would_keep_for_ever_are_replaced_once(
    keyring: Keyring, person: Person
) -> None:
    log = [Record(b"ben", b"given"), Record(b"anna", b"given"), Record(b"anna", b"withdrawn")]

    async def read(topic: Topic) -> AsyncGenerator[Record, None]:
        for record in log if topic is CONSENTS else []:
            yield record

    async def bury(topic: Topic, key: bytes) -> None:
        assert topic is CONSENTS
        log.append(Record(key, None))

    place = KafkaPlace(read, lambda asked, value: opens(keyring, asked, value), bury)
    assert asyncio.run(place.forget(person)) == {"care.consents": 2}
    assert log[-1] == Record(b"anna", None)
    asyncio.run(place.forget(person))
    assert len(log) == 4, "an erasure may be repeated"
    assert asyncio.run(place.forget(Person("carl", b"0" * 16))) == {"care.consents": 0}
    assert len(log) == 4

"""An erasure with the servers of the settings: opens what it needs, takes the steps, and tries what is left."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiokafka.errors import KafkaError

from schemas.channels import CHANNELS
from schemas.codec import DecodeError
from schemas.errors import Erased, Poison, Stop, Unknown
from schemas.privacy_marks import Erased as ErasedHow
from schemas.schema_registry import make_codec
from schemas.sealed_frame import parse
from schemas.settings import Settings
from schemas.stored_files import STORED_FILES
from schemas.topics import Topic
from streams.history.database import FILE, Database
from streams.privacy.certificate import NotCertified, Statement, verified
from streams.privacy.directory_keys import DirectoryKeys
from streams.privacy.journal import ErasureJournal, Request
from streams.privacy.kafka_place import KafkaPlace
from streams.privacy.places import Person, Place, Trial
from streams.privacy.raw_topics import raw_records
from streams.privacy.redis_place import RedisPlace
from streams.privacy.sql_place import SqlPlace
from streams.privacy.steps import Erasure, Facts, Step, check_trials, erase
from streams.privacy.telling import Tell, tell_all, what_to_tell
from workers.kafka.authorization_errors import refusal
from workers.kafka.clients import make_plain_producer
from workers.kafka.connect import outage, started_once, stopped
from workers.privacy.envelope import unseal
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring
from workers.privacy.person_keys import PersonState
from workers.state.redis_client import redis_access, redis_client

TIMEOUT_S = 30.0
LOGS_ELSEWHERE = "archives of PostgreSQL's log, replication slots and base backups: rows that were stored in clear"


class NoSuchPerson(Stop):
    """The key directory knows no person of this pseudonym."""


async def erase_person(
    settings: Settings,
    user_id: str,
    request: Request,
    more: Sequence[Place] = (),
    tell: Tell | None = None,
    *,
    unsealed: bool = False,
) -> bytes:
    """Erase a person, or go on with an erasure that was interrupted; the certificate.

    more: places on this machine; tell: informs receivers, None where there are none; unsealed: also a person who is not
    in the key directory, because all of the data is in clear. Raises NoSuchPerson, NotErased, Transient; in the last
    two cases it may be called again.
    """
    request.check_unnamed(user_id)
    async with _opened(settings, more) as (keyring, places):
        keys = DirectoryKeys(keyring.directory, settings.key_cache_s)
        journal = ErasureJournal(keyring.directory.database)
        erasure = await asyncio.to_thread(_begin, keyring, keys, journal, user_id, request, unsealed)
        subject = erasure.person.subject

        def record(step: Step, facts: Facts) -> None:
            journal.record(subject, step, facts)

        telling = partial(_tell, settings, keyring, erasure, tell)
        return await erase(erasure, keys, places, telling, outside_of(settings), record)


async def _tell(settings: Settings, keyring: Keyring, erasure: Erasure, tell: Tell | None) -> Facts:
    """Tell the receivers of the settings, if there are any. Raises Transient as `tell_all`."""
    if tell is None or not told_by(settings):
        return {"receivers": {}}
    read = partial(raw_records, settings)
    find = partial(what_to_tell, read, keyring.directory, make_codec(settings), erasure.person)
    return await tell_all(tell, find, erasure.started_at, settings.erasure_tell_s)


def told_by(settings: Settings) -> list[str]:
    """The receivers that are informed of an erasure."""
    channels = [channel.name for channel in CHANNELS if getattr(settings, channel.setting)]
    return [*channels, *(["platform"] if settings.platform_url else [])]


def begin_erasure(settings: Settings, user_id: str, request: Request) -> Erasure:
    """Note in the journal that a person is to be erased; what is noted already. Blocks.

    Raises NoSuchPerson, Transient.
    """
    keyring = Keyring.of_directory(settings)
    try:
        keys = DirectoryKeys(keyring.directory, settings.key_cache_s)
        return _begin(keyring, keys, ErasureJournal(keyring.directory.database), user_id, request, False)
    finally:
        keyring.close()


def check_certificate(settings: Settings, data: bytes) -> Mapping[str, Statement]:
    """What a certificate states, where this system signed it and its person still has no key. Blocks.

    It reads no record: `try_certificate` does. Raises NotCertified, Transient.
    """
    directory = KeyDirectory.open(settings)
    try:
        statement = verified(data, DirectoryKeys(directory, settings.key_cache_s).public_key())
        subject = bytes.fromhex(str(statement["subject"]))
        known = directory.people([subject]).get(subject)
        if known is None or known.state is not PersonState.ERASED or directory.epochs_of(subject):
            raise NotCertified("the key directory has keys of that person again: was it restored from a backup?")
        return statement
    finally:
        directory.close()


async def try_certificate(
    settings: Settings, data: bytes, user_id: str | None, more: Sequence[Place] = ()
) -> Mapping[str, Mapping[str, Trial]]:
    """Verify a certificate, and try everything again; what was found, by place and row of its table.

    user_id: the pseudonym that the certificate is about, without which nothing is searched for it. Raises NotCertified
    for a certificate that was changed, NotErased when anything opens or names the person, Transient.
    """
    async with _opened(settings, more) as (keyring, places):
        keys = DirectoryKeys(keyring.directory, settings.key_cache_s)
        statement = await asyncio.to_thread(lambda: verified(data, keys.public_key()))
        person = await asyncio.to_thread(person_of, statement, user_id, keys)
        found = {place.name: await place.attempt(person) for place in places}
    check_trials(found)
    return found


def person_of(statement: Mapping[str, Statement], user_id: str | None, keys: DirectoryKeys) -> Person:
    """Who a certificate is about. Raises Stop for a pseudonym that it is not about."""
    if user_id is not None and keys.person_hash(user_id) != statement["person"]:
        raise Stop("the certificate is about another person than this pseudonym: check both")
    return Person(user_id or "", bytes.fromhex(str(statement["subject"])))


def outside_of(settings: Settings) -> list[str]:
    """What an erasure does not reach: the files that are marked so, and the receivers that alerts are sent to."""
    files = [f"{row.name}: {row.holds}" for row in STORED_FILES if row.marks.erased is ErasedHow.OUTSIDE]
    receivers = [f"receiver {channel.name}" for channel in CHANNELS if getattr(settings, channel.setting)]
    logs = [LOGS_ELSEWHERE] if settings.database_url is not None else []
    return [*files, *logs, *receivers, "dumps of memory: of processes that had a key when they were made"]


def _begin(
    keyring: Keyring, keys: DirectoryKeys, journal: ErasureJournal, user_id: str, request: Request, unsealed: bool
) -> Erasure:
    directory, person_hash = keyring.directory, keys.person_hash(user_id)
    subject = journal.subject_of(person_hash, finished=False)
    if subject is None:
        known = (directory.enrol if unsealed else directory.subjects_of)([user_id])
        # Whoever was erased and did not return has the certificate of then.
        subject = known[user_id].id if known else journal.subject_of(person_hash, finished=True)
    if subject is None:
        raise NoSuchPerson(
            "the key directory knows no such person: check the pseudonym. Where the person's data was never sealed, "
            "repeat it with --unsealed"
        )
    return journal.begin(Person(user_id, subject), person_hash, request)


async def _bury(settings: Settings, topic: Topic, key: bytes) -> None:
    """Write a record without a value. Raises Transient, BrokerRefused."""
    producer = await started_once(lambda: make_plain_producer(settings), settings)
    try:
        await producer.send_and_wait(topic.name, None, key)
    except KafkaError as error:
        raise refusal(error) or outage(error) or error from error
    finally:
        await stopped(producer)


@asynccontextmanager
async def _opened(settings: Settings, more: Sequence[Place]) -> AsyncIterator[tuple[Keyring, list[Place]]]:
    async with AsyncExitStack() as exits:
        keyring = await asyncio.to_thread(Keyring.of_directory, settings)
        exits.callback(keyring.close)

        places: list[Place] = [
            KafkaPlace(partial(raw_records, settings), partial(opens, keyring), partial(_bury, settings))
        ]
        client = redis_client(settings.redis_url or "", redis_access(settings), TIMEOUT_S)
        exits.push_async_callback(client.aclose)
        places.append(RedisPlace(client))
        if settings.database_url is not None or (settings.home / FILE).exists():
            database = await asyncio.to_thread(Database.open, settings)
            exits.callback(database.close)
            places.append(SqlPlace(database))
        yield keyring, [*places, *more]


def opens(keyring: Keyring, topic: Topic, value: bytes) -> bool:
    """Whether a sealed value opens. Raises Transient while the key directory does not answer."""
    try:
        frame = parse(value)
        keyring.warm_now(frames=[(frame.subject, frame.epoch)])
        unseal(keyring, topic.name, topic.record.__name__, value)
    except (Erased, Unknown, Poison, DecodeError):
        return False
    return True

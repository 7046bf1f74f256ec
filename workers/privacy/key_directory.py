"""The key directory: from a pseudonym to the person's random subject, and from a subject to the person's keys.

Three answers about a key: the key, ERASED, or none (unknown: wait). An erased person stays as a tombstone without a
pseudonym, so that no key of that subject is ever made again; the same pseudonym gets a new subject when it returns.
Calls wait for the database and the key service: run them in a thread.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Self, TypeAlias

from sqlalchemy import Connection, delete, func, select, tuple_, update

from schemas.errors import ConfigurationError, Transient
from schemas.key_purposes import LASTING
from schemas.settings import Settings
from workers.privacy.clear_records import NEVER, Since
from workers.privacy.directory_status import DirectoryStatus, months_of_people, status_of
from workers.privacy.erased_people import ITSELF, LOST, LastErasure, last_erasures
from workers.privacy.key_services.kms import Kms, make_kms
from workers.privacy.key_tables import (
    DATA_KEYS,
    DESTROYED_BEFORE,
    FILE,
    PERSONS,
    STORE_KEYS,
    KeyDatabase,
    chunks,
    destroyed_before,
    engine_of,
    insert_missing,
    lock,
    set_watermark,
    states_of,
)
from workers.privacy.person_keys import ERASED, KEY_BYTES, Gone, PersonState, Subject, new_key, new_person, opened_name
from workers.privacy.rotation import Rotation, owes_rotation, rotate
from workers.privacy.sources.directory_age import AgeCheck, note_months
from workers.privacy.sources.directory_source import DirectorySource
from workers.privacy.store_keys import RESTORED, StoreKey, StoreKeys, add_store_key, digest_of

Wanted: TypeAlias = tuple[bytes, int]
"""A subject and an epoch."""


class KeyDirectory(DirectorySource):
    """One key directory, for any number of threads. `KeyDirectory.open(settings)`."""

    def __init__(self, database: KeyDatabase, kms: Kms) -> None:
        self._database, self._store_keys = database, StoreKeys(kms)
        self._age = AgeCheck()
        self._own_key: bytes | None = None

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The directory of the settings. Raises Transient when it or the key service does not answer.

        A new one in UNDERTONE_HOME is made here, with its local keyset. Raises ConfigurationError when another one has
        no tables yet (`undertone keys init`), when it cannot be used, or when this process has a key server instead.
        """
        if settings.key_directory_url is None and (settings.kms or "local:").startswith("local:"):
            cls.init(settings)
        directory = cls(KeyDatabase(engine_of(settings)), make_kms(settings))
        try:
            with directory._database.reading() as connection:
                directory._store_keys.live(connection)
        except BaseException as error:
            directory.close()
            if RESTORED in str(error):
                raise ConfigurationError(RESTORED) from None
            raise
        return directory

    @staticmethod
    def init(settings: Settings) -> bool:
        """Make tables, key service's key and store key where they are missing; whether anything was."""
        database, kms = KeyDatabase(engine_of(settings)), make_kms(settings)
        try:
            database.create()
            with database.writing() as connection:
                lock(connection, exclusive=True)
                if connection.execute(select(func.count()).select_from(STORE_KEYS)).scalar():
                    return False
                kms.create()
                add_store_key(connection, kms)
                return True
        finally:
            database.engine.dispose()
            kms.close()

    @staticmethod
    def is_made(settings: Settings) -> bool:
        """Whether there is a directory; one in PostgreSQL is not asked."""
        return settings.key_directory_url is not None or (settings.home / FILE).exists()

    @property
    def key_service(self) -> str:
        """Kind of the key service."""
        return self._store_keys.kms.name

    def status(self) -> DirectoryStatus:
        """Numbers of people and keys; reads every key."""
        with self._database.reading() as connection:
            return status_of(connection, self._store_keys.live(connection), destroyed_before(connection))

    def months_of_people(self) -> list[Wanted]:
        """Subject and epoch of every month with data, of people who were not erased."""
        with self._database.reading() as connection:
            return months_of_people(connection)

    def keys_before(self, epoch: int) -> int:
        """How many keys `destroy_epochs` would destroy."""
        with self._database.reading() as connection:
            old = (DATA_KEYS.c.epoch > LASTING) & (DATA_KEYS.c.epoch < epoch)
            return connection.execute(select(func.count()).where(old)).scalar() or 0

    def destroyed_before(self) -> int:
        """The first epoch that retention left."""
        with self._database.reading() as connection:
            return destroyed_before(connection)

    def close(self) -> None:
        """Close connections and the key service's session."""
        self._database.engine.dispose()
        self._store_keys.kms.close()

    @property
    def store_keys(self) -> StoreKeys:
        """The keys that wrap those of people."""
        return self._store_keys

    @property
    def database(self) -> KeyDatabase:
        """The tables of the directory."""
        return self._database

    def subjects_of(self, users: Collection[str]) -> dict[str, Subject]:
        """The people of these pseudonyms who are in the directory."""
        with self._database.reading() as connection:
            return self._found(connection, users, self._store_keys.live(connection))

    def enrol(self, users: Collection[str], since: Since = NEVER) -> dict[str, Subject]:
        """The people of these pseudonyms, each given a subject and keys if new. Only where a memo enters.

        since: Unix time of what says that a person is here, or NOW. Whoever was erased at that moment or later stays
        erased, and their tombstone is given.
        """
        found = self.subjects_of(users)
        missing = sorted(set(users) - set(found))
        own_key = self.own_key() if missing else None
        for some in chunks(missing):
            with self._database.writing() as connection:
                found |= self._enrolled(connection, some, own_key, since)
        return found

    def last_erasures(self, users: Collection[str]) -> dict[str, LastErasure]:
        """Those of these pseudonyms that were erased, and when last."""
        own_key = self.own_key()
        with self._database.reading() as connection:
            return last_erasures(connection, own_key, users)

    def own_key(self) -> bytes | None:
        """The lasting key of Undertone's own row, made with the first erasure. Raises Transient for a damaged one."""
        if self._own_key is None and (own := self.subjects_of([ITSELF])):
            place = (own[ITSELF].id, LASTING)
            key = self.keys_of([place]).get(place)
            if not isinstance(key, bytes):
                raise Transient(LOST)
            self._own_key = key
        return self._own_key

    def keys_of(self, wanted: Collection[Wanted]) -> dict[Wanted, bytes | Gone]:
        """The keys of people and epochs, or ERASED. What the directory does not know, or is damaged, is missing."""
        found: dict[Wanted, bytes | Gone] = {}
        for some in chunks(wanted):
            with self._database.reading() as connection:
                found |= self._keys(connection, some)
        return found

    def make_keys(self, wanted: Collection[Wanted]) -> dict[Wanted, bytes | Gone]:
        """As `keys_of`, and keys for epochs that active people have none for yet."""
        found = self.keys_of(wanted)
        for some in chunks([each for each in wanted if each not in found]):
            with self._database.writing() as connection:
                current = self._locked_current(connection)
                people = states_of(connection, [subject for subject, _ in some])
                active = [each for each in some if people.get(each[0]) == PersonState.ACTIVE]
                rows = [new_key(current, subject, epoch)[1] for subject, epoch in sorted(active) if epoch != LASTING]
                if rows:
                    self._age.check(connection)
                insert_missing(connection, DATA_KEYS, rows, ["subject", "epoch"])
                note_months(connection, [row["epoch"] for row in rows])
            found |= self.keys_of(some)
        return found

    def names_of(
        self, subjects: Collection[bytes], keys: Mapping[Wanted, bytes | Gone] | None = None
    ) -> dict[bytes, str | Gone]:
        """The pseudonyms of subjects, or ERASED. keys: the lasting ones, where they were read before."""
        if keys is None:
            keys = self.keys_of([(subject, LASTING) for subject in subjects])
        found: dict[bytes, str | Gone] = {subject: ERASED for (subject, _), key in keys.items() if key is ERASED}
        for some in chunks(subjects):
            with self._database.reading() as connection:
                rows = connection.execute(
                    select(PERSONS.c.subject, PERSONS.c.name).where(PERSONS.c.subject.in_(some))
                ).all()
            for subject, sealed in rows:
                key = keys.get((subject, LASTING))
                if isinstance(key, bytes) and sealed and (name := opened_name(key, subject, sealed)) is not None:
                    found[subject] = name
        return found

    def people(self, subjects: Collection[bytes]) -> dict[bytes, Subject]:
        """State of these subjects."""
        columns = (PERSONS.c.subject, PERSONS.c.state)
        found: dict[bytes, Subject] = {}
        for some in chunks(subjects):
            with self._database.reading() as connection:
                rows = connection.execute(select(*columns).where(PERSONS.c.subject.in_(some))).all()
            found |= {row.subject: Subject(row.subject, PersonState(row.state)) for row in rows}
        return found

    def epochs_of(self, subject: bytes) -> list[int]:
        """The epochs that a person has keys for, in order."""
        mine = select(DATA_KEYS.c.epoch).where(DATA_KEYS.c.subject == subject).order_by(DATA_KEYS.c.epoch)
        with self._database.reading() as connection:
            return list(connection.execute(mine).scalars())

    def mark_erasing(self, user: str) -> Subject | None:
        """From now on nothing of this person is taken or opened; None for a pseudonym that is unknown."""
        with self._database.writing() as connection:
            found = self._found(connection, [user], self._store_keys.live(connection)).get(user)
            if found is not None:
                connection.execute(
                    update(PERSONS)
                    .where(PERSONS.c.subject == found.id, PERSONS.c.state == PersonState.ACTIVE)
                    .values(state=PersonState.ERASING)
                )
        return found and found._replace(state=PersonState.ERASING)

    def destroy_keys(self, subject: bytes) -> list[int]:
        """Destroy a person's keys and name, and leave a tombstone; the epochs that had keys. It may be repeated.

        A backup of the directory from before holds them still, until `rotate_store_key`.
        """
        with self._database.writing() as connection:
            lock(connection)
            mine = DATA_KEYS.c.subject == subject
            epochs = sorted(connection.execute(select(DATA_KEYS.c.epoch).where(mine)).scalars())
            connection.execute(delete(DATA_KEYS).where(mine))
            tomb = {"state": PersonState.ERASED, "mac": None, "name": None}
            connection.execute(
                update(PERSONS)
                .where(PERSONS.c.subject == subject, PERSONS.c.state != PersonState.ERASED)
                .values(**tomb, erased_at=datetime.now(UTC))
            )
        self._database.forget_log()
        return epochs

    def destroy_epochs(self, before: int) -> int:
        """Destroy everybody's keys of the epochs before this one, but the lasting ones; how many. As retention."""
        with self._database.writing() as connection:
            lock(connection)
            reached = max(before, destroyed_before(connection))
            set_watermark(connection, DESTROYED_BEFORE, reached)
            old = (DATA_KEYS.c.epoch > LASTING) & (DATA_KEYS.c.epoch < reached)
            destroyed = connection.execute(delete(DATA_KEYS).where(old)).rowcount
        self._database.forget_log()
        return destroyed

    def rotate_store_key(self) -> Rotation:
        """A new store key for every row, and the old one destroyed: no older backup of the directory opens."""
        return rotate(self._database, self._store_keys)

    def owes_rotation(self) -> bool:
        """Whether older backups still open keys that retention destroyed: no rotation was finished since."""
        return owes_rotation(self._database)

    def months_before(self, epoch: int) -> int:
        """Of how many months `destroy_epochs` would destroy keys."""
        old = (DATA_KEYS.c.epoch > LASTING) & (DATA_KEYS.c.epoch < epoch)
        with self._database.reading() as connection:
            return connection.execute(select(func.count(DATA_KEYS.c.epoch.distinct())).where(old)).scalar() or 0

    def _found(self, connection: Connection, users: Iterable[str], live: list[StoreKey]) -> dict[str, Subject]:
        by_mac = {key.mac(digest): user for user in users for digest in [digest_of(user)] for key in live}
        columns = (PERSONS.c.mac, PERSONS.c.subject, PERSONS.c.state)
        found = {}
        for macs in chunks(by_mac):
            for row in connection.execute(select(*columns).where(PERSONS.c.mac.in_(macs))):
                found[by_mac[row.mac]] = Subject(row.subject, PersonState(row.state))
        return found

    def _enrolled(
        self, connection: Connection, users: Iterable[str], own_key: bytes | None, since: Since
    ) -> dict[str, Subject]:
        current = self._locked_current(connection)
        self._age.check(connection)
        users = list(users)
        live = self._store_keys.live(connection)
        found = self._found(connection, users, live)
        # Looked for after the people themselves: who is erased between the two is found here.
        for user, erasure in last_erasures(connection, own_key, set(users) - found.keys()).items():
            if (since.get(user, NEVER) if isinstance(since, Mapping) else since) <= erasure.at:
                found[user] = Subject(erasure.subject, PersonState.ERASED)
        gone = {user: subject for user, subject in found.items() if subject.state is PersonState.ERASED}
        new = sorted((new_person(user, current) for user in users if user not in found), key=lambda new: new.row["mac"])
        if not new:
            return found
        insert_missing(connection, PERSONS, [person.row for person in new], ["mac"])
        # Another process may have enrolled some of them first: then its subject stands.
        found = gone | self._found(connection, users, live)
        ours = {subject.id for subject in found.values()}
        keys = [row for person in new if person.row["subject"] in ours for row in person.keys]
        insert_missing(connection, DATA_KEYS, keys, ["subject", "epoch"])
        note_months(connection, [row["epoch"] for row in keys])
        self._age.check(connection)
        return found

    def _keys(self, connection: Connection, wanted: Collection[Wanted]) -> dict[Wanted, bytes | Gone]:
        subjects = sorted({subject for subject, _ in wanted})
        states, reached = states_of(connection, subjects), destroyed_before(connection)
        found: dict[Wanted, bytes | Gone] = {
            (subject, epoch): ERASED
            for subject, epoch in wanted
            if subject in states and (states[subject] != PersonState.ACTIVE or LASTING < epoch < reached)
        }
        open_ = {each for each in wanted if each not in found}
        rows = connection.execute(
            # Pairs: of two conditions SQLite would choose the index of months, and read everybody's keys.
            select(DATA_KEYS).where(tuple_(DATA_KEYS.c.subject, DATA_KEYS.c.epoch).in_(sorted(open_)))
        ).all()
        live = {key.version: key for key in self._store_keys.live(connection)} if rows else {}
        for subject, epoch, version, wrapped in rows:
            if (subject, epoch) in open_ and version in live:
                plain = live[version].unwrap(subject, epoch, wrapped)
                if plain is not None:
                    found[subject, epoch] = plain[:KEY_BYTES]
        return found

    def _locked_current(self, connection: Connection) -> StoreKey:
        """The current store key; no rotation begins before the end of the transaction."""
        lock(connection)
        return self._store_keys.live(connection)[0]

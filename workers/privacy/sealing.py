"""The border of Kafka: within a process a record is in clear, on a topic it is sealed.

Opening gives back the key and value as they were before sealing; a record of a person who was erased gives `Erased`.
Sealing puts the person's subject in place of the key and the sealed frame in place of the value. With
UNDERTONE_SEAL=off records pass as they are, and sealed ones of an earlier time still open.

    outcomes = await sealing.opened(records)            # Opened, Erased, Poison or Transient, one for each
    written = await sealing.sealed(topic, key, value, headers)      # None: of a person who was erased
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from schemas import topics
from schemas.errors import Erased, Poison, Transient, Unknown
from schemas.headers import Headers
from schemas.key_purposes import LASTING, Purpose
from schemas.sealed_frame import is_sealed
from schemas.sealed_headers import concealed, is_concealed, revealed
from schemas.settings import Settings
from workers.privacy.clear_records import (
    FORGED,
    NEVER,
    NO_PERSON,
    NOW,
    Opened,
    Outcome,
    Raw,
    Written,
    frame_of,
    is_subject,
    moment_of,
    person_of,
    wanted_by,
)
from workers.privacy.key_requests import KEYS, KeyRequests, UnknownKeys
from workers.service.health import HEALTH

if TYPE_CHECKING:
    from workers.privacy.keyring import Keyring
    from workers.privacy.prepared import Prepared

DIRECTORY_FILE = "keys.db"
"""The key directory in UNDERTONE_HOME, where no other is set."""
REMEMBERED = 10_000
"""People whose subjects are remembered from the records that were opened last."""

ENTERING = frozenset(
    {topics.UPLOADED.name, topics.FEATURES.name, topics.DEAD.name, topics.CARE.name, topics.CONSENTS.name}
)
"""Topics whose writers may meet a person for the first time: others write only about people of their input."""
OPEN_TOPICS = frozenset({topics.AUDIT.name})
"""Topics that are not sealed by person: their key is an actor."""


class _Loaded(NamedTuple):
    """The keyring, and what `workers/privacy/envelope.py` does with it."""

    keyring: "Keyring"
    seal: Callable[["Keyring", str, str, "Prepared", bytes], bytes]
    unseal: Callable[["Keyring", str, str, bytes], tuple["Prepared", bytes]]


class Sealing:
    """The border of one process, for one event loop. `open` makes one; `sealing_of` gives that of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.is_on = settings.seal == "on"
        self._kinds = {topic.name: topic.record.__name__ for topic in topics.TOPICS if topic.name not in OPEN_TOPICS}
        self._sealed = frozenset(self._kinds) - set(settings.seal_clear_topics) if self.is_on else frozenset()
        self._loaded: _Loaded | None = None
        self._loading = Lock()
        self._subjects: OrderedDict[str, bytes] = OrderedDict()
        self._requests, self._unknown = KeyRequests(), UnknownKeys(settings.unknown_key_wait_s)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        """A border that is closed at the end of the block. Keys are loaded when the first record needs one."""
        sealing = cls(settings)
        try:
            yield sealing
        finally:
            sealing.close()

    def close(self) -> None:
        """Forget all keys."""
        with self._loading:
            loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.keyring.close()

    @property
    def keyring(self) -> "Keyring":
        """The keys of this process, opened at first use. Blocks then; raises Transient and ConfigurationError."""
        with self._loading:
            if self._loaded is None:
                # Only processes that seal, or meet what is sealed, load SQLAlchemy and cryptography.
                from workers.privacy import envelope
                from workers.privacy.keyring import Keyring

                self._loaded = _Loaded(Keyring.open(self._settings), envelope.seal_for, envelope.unseal_of)
            return self._loaded.keyring

    async def keys(self) -> "Keyring | None":
        """The keys of this process, None where nothing was ever sealed. Raises Transient, ConfigurationError."""
        if not self.has_keys:
            return None
        await self._ask()
        return self.keyring

    async def ready(self) -> None:
        """Return when keys can be had, where records are sealed. Raises Transient, ConfigurationError."""
        if self.is_on:
            await self._ask()
            HEALTH.has(KEYS)

    @property
    def has_keys(self) -> bool:
        """Whether there may be keys: records are sealed, or were at an earlier time."""
        elsewhere = self._settings.key_directory_url is not None or self._settings.key_service_url is not None
        here = self._loaded is not None or (self._settings.home / DIRECTORY_FILE).exists()
        return self.is_on or elsewhere or here

    def came_sealed(self, user: str) -> bytes | None:
        """The subject of this person, where one of the records that were opened last is theirs and was sealed."""
        return self._subjects.get(user)

    def seals(self, topic: str) -> bool:
        """Whether records of this topic are written sealed."""
        return topic in self._sealed

    # Opening

    def concerns(self, records: Iterable[Raw], *, enrol: bool = False) -> bool:
        """Whether any of these records is to be opened; others may be used as they are. enrol: as in `opened`."""
        return any(
            is_sealed(record.value) or (self.is_on and (enrol or record.topic in self._sealed)) for record in records
        )

    async def opened(self, records: Sequence[Raw], *, enrol: bool = False, per_s: int = 1000) -> list[Outcome]:
        """One outcome for each record, in order. Raises ConfigurationError for a key service that is set up wrongly.

        enrol: the records enter the pipeline, so that people whose records are in clear get keys, and the headers of
        these records are concealed where their topic is sealed: what a memo leads to has one trace, whichever worker
        began with it. A record in clear that is older than its person's last erasure is Erased. per_s: how many units
        of the records' timestamps are a second.
        """
        outcomes = [self._opened(record, enrol, per_s) for record in records]
        missing = [at for at, outcome in enumerate(outcomes) if isinstance(outcome, Unknown)]
        if not missing:
            return outcomes
        frames, clear = wanted_by([records[at] for at in missing], per_s)
        try:
            await self._warm(frames=frames)
            await self._meet(clear, enrol)
        except Transient as error:
            return [error if isinstance(outcome, Unknown) else outcome for outcome in outcomes]
        for at in missing:
            outcomes[at] = self._unknown.settled(records[at], self._opened(records[at], enrol, per_s))
        return outcomes

    def _opened(self, record: Raw, enrol: bool, per_s: int) -> Outcome:
        topic, key, value = record.topic, record.key, record.value
        if topic not in self._kinds:
            return Opened(key, value, record.headers)
        try:
            if value is not None and is_sealed(value):
                return self._unsealed(topic, key, value, record.headers)
            if not value and self.is_on and is_subject(key):
                key = None  # what could not be read does not say whether it was sealed
            if not self.is_on or not (enrol or topic in self._sealed):
                return Opened(key, value, record.headers)
            user, moment, keyring = person_of(key), moment_of(record, per_s), self._keys().keyring
            if not enrol:
                keyring.check_newer(user, moment)
                return Opened(key, value, record.headers)
            subject = keyring.subject_at(user, moment)
            if topic not in self._sealed:
                return Opened(key, value, record.headers)
            person = keyring.prepared_of(subject)
            return Opened(key, value, concealed(record.headers or (), keyring.header_key(person)))
        except (Erased, Unknown, Poison) as outcome:
            return outcome

    def _unsealed(self, topic: str, key: bytes | None, value: bytes, headers: Any) -> Opened:
        try:
            keys = self._keys()
            person, clear = keys.unseal(keys.keyring, topic, self._kinds[topic], value)
        except (Unknown, Poison):
            frame_of(value)  # what never opens does not wait for keys
            raise
        user = person.user
        if user == NO_PERSON:
            return Opened(None, clear, headers)
        if key != person.key:
            raise Poison(FORGED, "the key of the record is not that of its sealed value")
        self._subjects.pop(user, None)
        self._subjects[user] = person.subject
        if len(self._subjects) > REMEMBERED:
            self._subjects.popitem(last=False)
        return Opened(user.encode(), clear, headers)

    # Sealing

    async def sealed(
        self, topic: str, key: bytes | None, value: bytes, headers: Headers, *, enters: bool = False
    ) -> Written | None:
        """A record as it is written; None for one of a person who was erased. Raises Transient, ConfigurationError.

        enters: somebody sends a memo at this moment, so whoever was erased returns, as another person. Anything else
        may be older than the erasure, and is not written of an erased person, also where its topic is left in clear.
        """
        if is_sealed(value):
            return Written(key, value, headers)
        if topic not in self._sealed and (enters or not self.is_on or topic not in ENTERING):
            return _in_clear(key, value, headers)
        try:
            try:
                return self._written(topic, key, value, headers)
            except (Unknown, Erased) as missing:
                if isinstance(missing, Erased) and not enters:
                    return None
                await self._learn(person_of(key), topic, enters)
                return self._written(topic, key, value, headers)
        except Erased:
            return None

    def _written(self, topic: str, key: bytes | None, value: bytes, headers: Headers) -> Written:
        keys, user = self._keys(), person_of(key)
        person = keys.keyring.prepared(user)
        if topic not in self._sealed:
            return _in_clear(key, value, headers)
        frame = keys.seal(keys.keyring, topic, self._kinds[topic], person, value)
        key = None if user == NO_PERSON else person.key
        return Written(key, frame, concealed(headers, keys.keyring.header_key(person)))

    def sealed_now(self, topic: str, key: bytes | None, value: bytes, *, enters: bool = False) -> Written | None:
        """As `sealed`, without headers, for code that runs in a thread: it blocks."""
        if is_sealed(value) or topic not in self._sealed:
            return Written(key, value, [])
        try:
            self.keyring.warm_now([person_of(key)], enrol=topic in ENTERING, since=NOW if enters else NEVER)
            return self._written(topic, key, value, [])
        except Erased:
            return None

    def opened_now(self, record: Raw) -> Outcome:
        """As `opened`, for code that runs in a thread: it blocks, and raises Transient."""
        if record.value is not None and is_sealed(record.value):
            with suppress(Poison):
                frame = frame_of(record.value)
                self.keyring.warm_now(frames=[(frame.subject, frame.epoch)])
        elif self.is_on:
            user, moment = person_of(record.key), moment_of(record, 1000)
            self.keyring.meet_now({user: moment}, enrol=False)
            try:
                self.keyring.check_newer(user, moment)
            except Erased as older:
                return older
        return self._opened(record, False, 1000)

    def token(self, subject: bytes, text: str) -> str:
        """A keyed hash in place of an id of a person who was warmed. Raises Erased, Unknown."""
        key = self._keys().keyring.subkey(subject, LASTING, Purpose.HEADERS)
        return blake2b(text.encode(), key=key, digest_size=16, person=b"token").hexdigest()

    async def keys_of(self, user: str, *, enrol: bool = False) -> frozenset[bytes]:
        """The keys of Kafka that records of a person have: the pseudonym, and the subject where there is one.

        enrol: give this person a subject, who is about to have records. Raises Transient.
        """
        keys = {user.encode()}
        with suppress(Erased, Unknown):
            if self.has_keys:
                await self._warm(users={user}, enrol=enrol and self.is_on, since=NOW)
                keys.add(self._keys().keyring.subject(user).hex().encode())
        return frozenset(keys)

    def _keys(self) -> "_Loaded":
        if self._loaded is None:
            raise Unknown("no key is loaded yet")
        return self._loaded

    async def _learn(self, user: str, topic: str, enters: bool) -> None:
        """Load what sealing a record of this person needs. Raises Erased, Unknown, Transient.

        Who was erased is not found by name any more: a process that has read a record of this person before finds the
        tombstone of its subject, and any other finds the erasure, unless the person enters now.
        """
        subject = None if enters else self._subjects.get(user)
        if subject is not None:
            await self._warm(frames={(subject, LASTING)})
            self._keys().keyring.user(subject)
        enrol = subject is None and (topic in ENTERING or user == NO_PERSON)
        await self._warm(users={user}, enrol=enrol, since=NOW if enters else NEVER)

    async def _warm(
        self,
        users: Collection[str] = (),
        frames: Collection[tuple[bytes, int]] = (),
        *,
        enrol: bool = False,
        since: float = NEVER,
    ) -> None:
        """Load keys, where any are missing. Raises Transient when they cannot be had in time, ConfigurationError."""
        if users or frames:
            await self._ask(lambda keyring: keyring.warm(users, frames, enrol=enrol, since=since))

    async def _meet(self, clear: Mapping[str, float], enrol: bool) -> None:
        """Look people up whose records came in clear. Raises as `_warm`."""
        if clear:
            await self._ask(lambda keyring: asyncio.to_thread(keyring.meet_now, clear, enrol=enrol))

    async def _ask(self, load: Callable[["Keyring"], Awaitable[None]] | None = None) -> None:
        """Open the keyring, and load what is needed. Raises Transient, ConfigurationError."""

        async def ask() -> None:
            if self._loaded is None:
                await asyncio.to_thread(lambda: self.keyring)
            if load is not None:
                await load(self.keyring)

        await self._requests.answered(ask)


def _in_clear(key: bytes | None, value: bytes, headers: Headers) -> Written:
    return Written(key, value, revealed(headers) if is_concealed(headers) else headers)


_BORDERS: dict[tuple[object, ...], Sealing] = {}


def sealing_of(settings: Settings) -> Sealing:
    """The border of this process for these settings: every client of Kafka that it makes uses the same one."""
    keys = (settings.kms, settings.key_directory_url, settings.key_service_url, settings.unknown_key_wait_s)
    same = (settings.seal, *keys, settings.home, settings.seal_clear_topics)
    return _BORDERS.setdefault(same, Sealing(settings))


def close_all() -> None:
    """Forget all keys: this process ends."""
    while _BORDERS:
        _BORDERS.popitem()[1].close()

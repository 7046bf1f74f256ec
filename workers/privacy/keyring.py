"""The keys that one process holds in memory: those of the people it works on, for UNDERTONE_KEY_CACHE_S at most.

    await keyring.warm(users, enrol=True)                  # reads the directory once for a batch; may raise Transient
    keyring.subkey(keyring.subject(user), epoch, purpose)  # in memory only; raises Erased or Unknown

Python cannot overwrite what it frees: a memory dump of a process holds keys of the last minutes.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from schemas.errors import ConfigurationError, Erased, Transient, Unknown
from schemas.key_purposes import LASTING, Purpose, epoch_of
from schemas.settings import Settings
from workers.privacy.clear_records import NEVER, Since
from workers.privacy.erased_people import KnownErasures
from workers.privacy.key_requests import UNKNOWN
from workers.privacy.person_keys import CachedPerson, Gone, PersonState, Subject
from workers.privacy.prepared import Prepared, PreparedPeople
from workers.privacy.sources.lookup import Frame, KeySource, Lookup
from workers.service import prometheus
from workers.service.health import HEALTH

if TYPE_CHECKING:
    from workers.privacy.key_directory import KeyDirectory

PEOPLE = 250_000
"""Most people in memory, about 0.5 KB each; those that were looked up longest ago make room."""


class Keyring(PreparedPeople):
    """Keys of a process. Thread safe. clock: seconds, monotonic; today: the moment, for the month of new data."""

    def __init__(
        self,
        source: KeySource,
        cache_s: float,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(clock)
        self._source, self._cache_s, self._today = source, cache_s, today
        self._people: dict[bytes, CachedPerson] = {}
        self._destroyed_before = LASTING
        self._erasures = KnownErasures(cache_s / 2, lambda: self._clock())
        self._lock = threading.Lock()

    @classmethod
    def open(cls, settings: Settings) -> "Keyring":
        """The keyring of the settings, empty, known to erasures. Raises as `of_directory`, Stop where it is refused."""
        if settings.key_service_url is None:
            return cls.of_directory(settings)
        from workers.privacy.holders.held_keyring import HeldKeyring
        from workers.privacy.sources.service_source import ServiceSource

        return HeldKeyring(ServiceSource.open(settings), settings.key_cache_s)

    @classmethod
    def of_directory(cls, settings: Settings) -> "Keyring":
        """As `open`, whether there is a key service or not. Raises as `KeyDirectory.open`."""
        # Only processes that seal load SQLAlchemy.
        from workers.privacy.holders.held_keyring import HeldKeyring
        from workers.privacy.key_directory import KeyDirectory

        return HeldKeyring(KeyDirectory.open(settings), settings.key_cache_s)

    @property
    def directory(self) -> "KeyDirectory":
        """The key directory that the keys come from. Raises ConfigurationError where they come from a key service."""
        from workers.privacy.key_directory import KeyDirectory
        from workers.privacy.key_tables import SERVED

        if not isinstance(self._source, KeyDirectory):
            raise ConfigurationError(SERVED)
        return self._source

    @property
    def source(self) -> KeySource:
        """Where the keys come from."""
        return self._source

    async def warm(
        self, users: Collection[str] = (), frames: Collection[Frame] = (), *, enrol: bool = False, since: Since = NEVER
    ) -> None:
        """Read what is needed to seal for `users` and to open `frames` (subject, epoch), where memory lacks it.

        enrol: give unknown users a subject; only where a memo enters; since: as `KeyDirectory.enrol`. Raises Transient
        while the directory or the key service does not answer. People that the directory does not know stay unknown.
        """
        if self._lacking(users, frames, enrol):
            await asyncio.to_thread(self.warm_now, users, frames, enrol=enrol, since=since)

    def warm_now(
        self, users: Collection[str] = (), frames: Collection[Frame] = (), *, enrol: bool = False, since: Since = NEVER
    ) -> None:
        """As `warm`, for code that runs in a thread."""
        if not self._lacking(users, frames, enrol):
            return
        try:
            with prometheus.timed(prometheus.KEY_DIRECTORY_LATENCY, operation="enrol" if enrol else "find"):
                self._read(users, frames, enrol, since)
        except Transient as error:
            HEALTH.lacks("keys", str(error))
            raise
        unknown = any(self._unknown(*frame) for frame in frames)
        prometheus.KEYS_UNKNOWN.set(unknown)
        if unknown:
            HEALTH.lacks("keys", UNKNOWN)
        else:
            HEALTH.has("keys")
        prometheus.KEYS_CACHED.set(len(self._people))

    def meet_now(self, clear: Mapping[str, float], *, enrol: bool) -> None:
        """Read when people were last erased whose records came in clear. Blocks; raises Transient.

        clear: Unix time of each one's newest record; enrol: who was not erased since then is given a subject.
        """
        if enrol:
            self.warm_now(clear, enrol=True, since=clear)
        self._erasures.look_up(self._source, clear)

    def check_newer(self, user_id: str, moment: float) -> None:
        """Raises Erased for a record in clear that is older than the person's last erasure; Unknown before `meet_now`.

        moment: Unix time of the record.
        """
        person = self._people.get(self._subjects.get(user_id, b""))
        if moment <= self._erasures.at(user_id, NEVER if person is None else person.at):
            raise Erased("the record is older than the erasure of its person")

    def subject_at(self, user_id: str, moment: float) -> bytes:
        """The subject of whoever has a record in clear of this moment, also of one who returns. Raises as both."""
        person = self._people.get(self._subjects.get(user_id, b""))
        self.check_newer(user_id, moment)
        if person is not None and person.state is PersonState.ERASED:
            raise Unknown(UNKNOWN)
        return self.subject(user_id)

    def subject(self, user_id: str) -> bytes:
        """The subject of a user who was warmed. Raises Erased while the user is erased, Unknown for others."""
        subject = self._subjects.get(user_id)
        if subject is None:
            raise Unknown(UNKNOWN)
        self._active(subject)
        return subject

    def user(self, subject: bytes) -> str:
        """The pseudonym of a subject that was warmed. Raises Erased or Unknown."""
        return self._active(subject).user

    def epoch(self, subject: bytes) -> int:
        """The month for new records of a person: that of the last look into the directory. Raises Erased or Unknown."""
        epoch = self._active(subject).epoch
        if epoch == LASTING:
            raise Unknown(UNKNOWN)
        return epoch

    def _derived(self, subject: bytes, epoch: int, purpose: Purpose) -> bytes:
        key = self._active(subject).key(epoch)
        if key is None:
            if self._is_destroyed(epoch):
                raise Erased("the keys of that month were destroyed by retention")
            raise Unknown(UNKNOWN)
        return self._source.purpose_key(key, epoch, purpose)

    def _prepare(self, subject: bytes) -> Prepared:
        with self._lock:
            person = self._active(subject)
            return self._add_prepared(Prepared(person.user, subject, person.at + self._cache_s))

    def forget(self, subject: bytes) -> None:
        """Drop what is known of a person; the next use reads the directory."""
        with self._lock:
            person = self._people.pop(subject, None)
            if person is not None:
                self._unname(person, subject)
            self._drop_prepared(subject)

    def close(self) -> None:
        """Drop all keys, and close where they come from."""
        with self._lock:
            self._people.clear()
            self._subjects.clear()
            self._erasures.clear()
            for subject in list(self._prepared):
                self._drop_prepared(subject)
        self._source.close()

    def _active(self, subject: bytes) -> CachedPerson:
        person = self._people.get(subject)
        if person is None or self._clock() - person.at > self._cache_s:
            raise Unknown(UNKNOWN)
        if person.state is not PersonState.ACTIVE:
            raise Erased("the person was erased")
        return person

    def _lacking(self, users: Iterable[str], frames: Iterable[Frame], enrol: bool) -> bool:
        month = epoch_of(self._today())
        stale = any(self._stale_user(user, month, enrol) for user in users)
        return stale or any(self._unknown(*frame) for frame in frames)

    def _stale_user(self, user: str, month: int, enrol: bool) -> bool:
        person = self._fresh(self._subjects.get(user, b""))
        if person is None:
            return True
        if person.state is PersonState.ERASED:
            return enrol  # who returns gets a new subject
        return person.state is PersonState.ACTIVE and person.epoch != month

    def _unknown(self, subject: bytes, epoch: int) -> bool:
        person = self._fresh(subject)
        if person is None:
            return True
        return person.state is PersonState.ACTIVE and person.key(epoch) is None and not self._is_destroyed(epoch)

    def _is_destroyed(self, epoch: int) -> bool:
        """Whether retention destroyed everybody's keys of a month."""
        return LASTING < epoch < self._destroyed_before

    def _fresh(self, subject: bytes) -> CachedPerson | None:
        """What is known of a person, if it will stay usable for the time of a batch."""
        person = self._people.get(subject)
        return None if person is None or self._clock() - person.at > self._cache_s / 2 else person

    def _read(self, users: Collection[str], frames: Collection[Frame], enrol: bool, since: Since) -> None:
        """Look up the people that are missing or old, with all epochs that this process has met of them."""
        month, at = epoch_of(self._today()), self._clock()
        wanted = frozenset(user for user in users if self._stale_user(user, month, enrol))
        opened = frozenset(frame for frame in frames if self._unknown(*frame))
        known = {user: self._subjects[user] for user in wanted if user in self._subjects}
        subjects = {*known.values(), *(subject for subject, _ in opened)}
        old = [(subject, self._people[subject]) for subject in subjects if subject in self._people]
        met = frozenset((subject, epoch) for subject, person in old for epoch in person.epochs())
        found = self._source.look_up(Lookup(month, wanted, opened, enrol, since, known, met))
        if found.destroyed_before is not None:
            self._destroyed_before = found.destroyed_before
        with self._lock:
            self._keep(found.people, found.keys, month, at)

    def _unname(self, person: CachedPerson, subject: bytes) -> None:
        if self._subjects.get(person.user) == subject:
            del self._subjects[person.user]

    def _keep(
        self, known: Mapping[bytes, tuple[str, Subject]], keys: Mapping[Frame, bytes | Gone], month: int, at: float
    ) -> None:
        by_subject: dict[bytes, list[tuple[int, bytes]]] = {subject: [] for subject in known}
        for (subject, epoch), key in keys.items():
            if subject in known and isinstance(key, bytes):
                by_subject[subject].append((epoch, key))
        for subject, (user, person) in known.items():
            self._drop_prepared(subject)
            before = self._people.pop(subject, None)
            if user:
                self._subjects[user] = subject
            elif before is not None and before.user:
                user = before.user  # who was erased is refused by name while this is remembered, who returned is not
                self._subjects.setdefault(user, subject)
            self._people[subject] = CachedPerson(user, person, by_subject[subject], month, at)
        while len(self._people) > PEOPLE:
            oldest = next(iter(self._people))
            self._drop_prepared(oldest)
            self._unname(self._people.pop(oldest), oldest)

"""Which reads are attempted now, and when an object is given up: storage that fails must not hold its neighbours.

An object whose read failed, and every object of a storage that does not answer, takes one of two slots of its storage
for its next attempt: one for the first few retries, one for the later ones. So objects that stall occupy two of a
worker's loaders, and the others stay free for everything else.

An object becomes a dead letter for the storage's fault only with evidence that the fault is its own: its storage
delivered other objects for `give_up_s` while it failed on this one; or, for `outage_s`, its storage delivered nothing
while other storages did. An outage of all storage gives up none, however long it lasts.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from schemas.errors import Poison, Transient
from workers.service.health import HEALTH, Health
from workers.storage.outcomes import Busy, Denied, Missing
from workers.storage.uri import Place

SILENT_AFTER = 5
"""Objects in a row that fail for the first time, none of the storage's delivered between them: it does not answer."""
EVIDENCE = 10
"""Objects that are delivered elsewhere before a failing one is given up."""
FIRST_RETRIES = 3
"""Retries of an object in the slot for the first ones."""
QUIET_S = 60.0
"""A failure is reported to health when its storage delivered nothing for this long, or does not answer."""
KNOWN_OBJECTS = 10_000
"""Failing objects of a storage that are remembered."""


@dataclass(slots=True)
class _Failing:
    """An object whose last read failed. delivered, elsewhere: of its storage and of all, when it failed first."""

    since: float
    delivered: int
    elsewhere: int
    failures: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class _Storage:
    """What is known of the objects under one prefix."""

    delivered: int = 0
    delivered_at: float = float("-inf")
    recovered_at: float = float("-inf")
    not_before: float = 0.0
    newly_failed: int = 0
    failing: "OrderedDict[Place, _Failing]" = field(default_factory=OrderedDict)
    slots: set[bool] = field(default_factory=set)
    """Taken ones; True is that of the later retries."""
    reported: str = ""

    @property
    def silent(self) -> bool:
        """Whether it does not answer."""
        return self.newly_failed >= SILENT_AFTER


class Attempts:
    """The reads of one process. Thread-safe. clock: seconds, monotonic."""

    def __init__(
        self,
        give_up_s: float,
        outage_s: float,
        clock: Callable[[], float] = time.monotonic,
        health: Health = HEALTH,
    ) -> None:
        self._give_up_s, self._outage_s, self._clock, self._health = give_up_s, outage_s, clock, health
        self._storages: dict[Place, _Storage] = {}
        self._delivered = 0
        self._lock = Lock()

    @contextmanager
    def of(self, prefix: Place, where: Place) -> Iterator[None]:
        """The block is one attempt to read an object under a prefix; it ends with what the read raises.

        Raises Transient without an attempt when it is not this object's turn; Poison `audio:forbidden` or
        `audio:unavailable` instead of a Transient when the object is given up.
        """
        with self._lock:
            storage = self._storages.setdefault(prefix, _Storage())
            slot = self._slot(storage, where)
        try:
            yield
        except (Missing, Poison):
            with self._lock:
                self._answered(storage, where)
            raise
        except Transient as error:
            with self._lock:
                given_up = self._failed(storage, where, error)
            raise given_up or error from error.__cause__
        else:
            with self._lock:
                self._delivered += 1
                storage.delivered += 1
                storage.delivered_at = self._clock()
                self._answered(storage, where)
        finally:
            with self._lock:
                storage.slots.discard(slot)

    def _slot(self, storage: _Storage, where: Place) -> bool | None:
        """The slot that an attempt takes; None for one that needs none. Raises Transient when it has to wait."""
        known = storage.failing.get(where)
        if known is None and not storage.silent:
            return None
        slot = known is not None and known.failures > FIRST_RETRIES
        not_before = max(storage.not_before if storage.silent else 0.0, known.not_before if known else 0.0)
        if slot in storage.slots or self._clock() < not_before:
            raise Transient(f"waiting for the next attempt: {storage.reported or 'an earlier attempt failed'}")
        storage.slots.add(slot)
        return slot

    def _answered(self, storage: _Storage, where: Place) -> None:
        if storage.silent:
            storage.recovered_at = self._clock()
        storage.newly_failed, storage.not_before = 0, 0.0
        storage.failing.pop(where, None)
        self._report(storage, "")

    def _failed(self, storage: _Storage, where: Place, error: Transient) -> Poison | None:
        """Note a failure. The dead letter of an object that is given up."""
        now = self._clock()
        if where not in storage.failing:
            storage.newly_failed += 1
            storage.failing[where] = _Failing(now, storage.delivered, self._delivered)
            if len(storage.failing) > KNOWN_OBJECTS:
                storage.failing.popitem(last=False)
        known = storage.failing[where]
        known.failures += 1
        if isinstance(error, Busy):
            known.not_before = storage.not_before = now + error.retry_after_s
        if self._is_given_up(storage, known, now):
            del storage.failing[where]
            self._report(storage, storage.reported if storage.silent else "")
            reason = "audio:forbidden" if isinstance(error, Denied) else "audio:unavailable"
            return Poison(reason, f"given up while other objects were delivered: {error}")
        if storage.silent or now - storage.delivered_at > QUIET_S:
            self._report(storage, str(error))
        return None

    def _is_given_up(self, storage: _Storage, known: _Failing, now: float) -> bool:
        if storage.silent or storage.delivered == known.delivered:
            return now - known.since >= self._outage_s and self._delivered - known.elsewhere >= EVIDENCE
        failing_s = now - max(known.since, storage.recovered_at)
        return failing_s >= self._give_up_s and storage.delivered - known.delivered >= EVIDENCE

    def _report(self, storage: _Storage, why: str) -> None:
        storage.reported = why
        reasons = [each.reported for each in self._storages.values() if each.reported]
        if reasons:
            self._health.lacks("storage", reasons[0])
        else:
            self._health.has("storage")

"""Audit events of the key server: who was given keys of which purposes, and what was refused.

One event when a caller is first given keys, and one an hour afterwards, with how many people; the same for refusals.
Roles ask all day, so events are summed up; no role waits for one, and what Kafka does not take is kept for the next.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from schemas.audit_reason import kept_reason
from schemas.errors import UndertoneError
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from schemas.key_grants import KEY_GRANTS
from schemas.limits import LABEL

log = logging.getLogger(__name__)

EVERY_S = 3600.0
LOOK_S = 1.0
CALLERS = 1000
"""Most callers that are remembered: whoever has a certificate of the authority may ask."""
ROLE = "service"
RESOURCE = "keys.service"


class GrantEvents:
    """What is to be written. Thread safe.

    write: returns when Kafka has an event; proof: what shows who a caller is; clock: monotonic seconds.
    """

    def __init__(
        self,
        write: Callable[[AuditEvent], Awaitable[None]],
        proof: ActorProof = ActorProof.CERTIFICATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._proof, self._clock = write, proof, clock
        self._people: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._written: dict[str, float] = {}
        self._lock = threading.Lock()

    def gave(self, caller: str, people: int) -> None:
        """Note that keys of so many people were given."""
        if people:
            with self._lock:
                self._people[caller] += people

    def refused(self, caller: str, why: str) -> None:
        """Note a refusal. why: names no person."""
        with self._lock:
            if len(self._refused) < CALLERS:
                self._refused[caller, why] += 1

    async def run(self) -> None:
        """Write what is due, until it is cancelled."""
        while True:
            await self.write_due()
            await asyncio.sleep(LOOK_S)

    async def write_due(self, *, all_of_it: bool = False) -> None:
        """Write what is due. all_of_it: also what would be summed up for longer."""
        for caller in {*self._people, *(caller for caller, _ in self._refused)}:
            if all_of_it or self._clock() - self._written.get(caller, float("-inf")) >= EVERY_S:
                await self._write_of(caller)

    async def _write_of(self, caller: str) -> None:
        with self._lock:
            people = self._people.pop(caller, 0)
            refused = {key: self._refused.pop(key) for key in list(self._refused) if key[0] == caller}
            if len(self._written) >= CALLERS:
                self._written.clear()
            self._written[caller] = self._clock()
        try:
            if people:
                await self._write(gave_event(caller, people, self._proof))
                people = 0
            for key in list(refused):
                await self._write(refused_event(*key, refused[key], self._proof))
                del refused[key]
        except Exception as error:
            if not isinstance(error, UndertoneError):
                log.exception("key grants were not recorded in the audit trail")
            else:
                log.warning("key grants were not recorded in the audit trail yet: %s", error)
            with self._lock:
                self._people[caller] += people
                self._people += Counter()  # without those of 0
                self._refused.update(refused)
                self._written[caller] = self._clock() - EVERY_S + 10 * LOOK_S


def gave_event(caller: str, people: int, proof: ActorProof) -> AuditEvent:
    """The event of keys that were given. people: how often a person's keys were."""
    purposes = ", ".join(sorted(KEY_GRANTS[caller].purposes)) if caller in KEY_GRANTS else "none"
    return _event(caller, AuditAction.EXPORTED, f"keys of {people} people for {purposes}", proof)


def refused_event(caller: str, why: str, times: int, proof: ActorProof) -> AuditEvent:
    """The event of what was refused."""
    return _event(caller, AuditAction.REFUSED, f"{times} times: {why}", proof)


def _event(caller: str, action: AuditAction, reason: str, proof: ActorProof) -> AuditEvent:
    return AuditEvent(
        audit_id=str(uuid4()),
        at=datetime.now(UTC),
        actor=caller if LABEL.accepts(caller) else ascii(caller)[:256],
        role=ROLE,
        action=action,
        resource=RESOURCE,
        reason=kept_reason(reason),
        allowed=action is not AuditAction.REFUSED,
        proof=proof,
    )

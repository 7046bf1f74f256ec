"""Retention of keys, by `undertone history`: those of months that are over for long enough are destroyed, each hour.

Nothing waits for it. What hinders it is logged and counted, and it is tried again.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import uuid4

from schemas.errors import UndertoneError
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from schemas.key_purposes import epoch_of, month_of
from schemas.settings import Settings
from streams.api.publish import publish_event
from streams.audit.command_events import actor_of
from streams.audit.settings import keys_of
from streams.roles.start_events import ROLE
from workers.privacy.key_directory import KeyDirectory
from workers.service import prometheus

log = logging.getLogger(__name__)

LOOK_S = 3600.0
AGAIN_S = 300.0
RESOURCE = "keys.destroy-epochs"
"""As of the command that does the same."""


class KeyRetention:
    """That of one process; any number may do it at once. settings: with `keys_retention_s`."""

    def __init__(self, settings: Settings, retention_s: float) -> None:
        self._settings, self._retention = settings, timedelta(seconds=retention_s)
        self._owed = False
        """Whether a rotation was missing at the last look: the process that destroyed keys may be at it still."""

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            pause_s = LOOK_S
            try:
                await self.look(datetime.now(UTC))
            except UndertoneError as error:
                log.warning("keys of months that are over for too long are not destroyed yet: %s", error)
                pause_s = AGAIN_S
            except Exception:
                log.exception("keys of months that are over for too long are not destroyed yet")
                pause_s = AGAIN_S
            await asyncio.sleep(pause_s)

    async def look(self, now: datetime) -> int:
        """Destroy what is due, recorded in the audit trail first; how many keys. Raises Transient, ConfigurationError.

        Without a key directory nothing is.
        """
        if not KeyDirectory.is_made(self._settings):
            return 0
        directory = await asyncio.to_thread(KeyDirectory.open, self._settings)
        try:
            return await self._destroy(directory, epoch_of(now - self._retention))
        finally:
            await asyncio.to_thread(directory.close)

    async def _destroy(self, directory: KeyDirectory, before: int) -> int:
        destroyed, months = 0, await asyncio.to_thread(directory.months_before, before)
        prometheus.KEYS_OVERDUE.set(months or await asyncio.to_thread(directory.owes_rotation))
        if months:
            await publish_event(self._settings, self._event(before), keys_of(self._settings))
            destroyed = await asyncio.to_thread(directory.destroy_epochs, before)
            log.info("retention: %d keys of %d months destroyed", destroyed, months)
        owed, self._owed = self._owed, await asyncio.to_thread(directory.owes_rotation)
        if self._owed and (destroyed or owed):
            await asyncio.to_thread(directory.rotate_store_key)
            self._owed = False
        prometheus.KEYS_OVERDUE.set(self._owed)
        return destroyed

    def _event(self, before: int) -> AuditEvent:
        actor = actor_of(self._settings)
        return AuditEvent(
            audit_id=str(uuid4()),
            at=datetime.now(UTC),
            actor=actor.name,
            role=ROLE,
            action=AuditAction.ERASED,
            resource=RESOURCE,
            reason=f"UNDERTONE_KEYS_RETENTION_S: months before {month_of(before):%Y-%m}",
            proof=actor.proof,
            via=actor.via,
        )

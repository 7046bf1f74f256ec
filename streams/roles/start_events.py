"""The audit event of a role's start: with which settings and which bundle it runs, as digests.

Workers and bridges read what others send, or speak to the outside: they have no key of the trail, so their events have
no code, and their digests leave secrets out. No role waits for its event.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import uuid4

from pydantic import SecretStr

from schemas.audit_keys import STARTS, AuditKeys
from schemas.channels import CHANNELS
from schemas.environment import variable
from schemas.errors import UndertoneError
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from schemas.pipeline import FEATURE_STAGES
from schemas.setting_types import Role
from schemas.settings import Settings, is_secret, roles_of
from schemas.version import version
from streams.api.publish import publish_event
from streams.audit.command_events import actor_of

log = logging.getLogger(__name__)

RECORDED: Mapping[str, Role] = {
    "agents": Role.AGENTS,
    "history": Role.HISTORY,
    "dashboard": Role.DASHBOARD,
    "keys.serve": Role.KEYS,
    **{f"worker.{stage.name}": Role.WORKER for stage in FEATURE_STAGES},
    **{f"bridge.{channel.name}": Role.BRIDGE for channel in CHANNELS},
}
"""Processes whose starts are recorded: their commands, with dots."""
ROLE = "service"
"""Role of a process in the trail."""
OF_A_PROCESS = frozenset(
    {"instance", "metrics_host", "metrics_port", "dashboard_host", "dashboard_socket", "key_service_host", "supervised"}
)
"""Settings that differ between the processes of one role."""
DIGITS = 16
"""Hexadecimal digits of a digest that an event has."""


KeysOf: TypeAlias = Callable[[Settings], AuditKeys]
"""The keys that a role writes its start with."""


def no_keys(settings: Settings) -> AuditKeys:
    """Those of KEYLESS_STARTS."""
    return AuditKeys()


@asynccontextmanager
async def start_recorded(
    settings: Settings, role: str, keys_of: KeysOf, bundle: str | None = None
) -> AsyncIterator[None]:
    """Record that a role has started, while it works. bundle: id of the one that it loads."""
    recording = asyncio.create_task(record_start(settings, role, keys_of, bundle))
    try:
        yield
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)


async def record_start(settings: Settings, role: str, keys_of: KeysOf, bundle: str | None = None) -> None:
    """Write the event of a start. What hinders it is logged: scores and alerts wait for no audit event."""
    try:
        keys = keys_of(settings)
        await publish_event(settings, start_event(settings, role, bundle, keys), keys)
    except UndertoneError as error:
        log.warning("the start was not recorded in the audit trail: %s", error)
    except Exception:
        log.exception("the start was not recorded in the audit trail")


def start_event(settings: Settings, role: str, bundle: str | None, keys: AuditKeys) -> AuditEvent:
    """The event of a start. Raises ConfigurationError for a certificate that cannot be read."""
    actor = actor_of(settings)
    runs = [f"version {version()}", f"settings {settings_digest(settings, RECORDED[role], keys.events)}"]
    if bundle is not None:
        runs.append(f"bundle {bundle}")
    return AuditEvent(
        audit_id=str(uuid4()),
        at=datetime.now(UTC),
        actor=actor.name,
        role=ROLE,
        action=AuditAction.CONFIGURED,
        resource=f"{STARTS}{role}",
        reason=", ".join(runs),
        proof=actor.proof,
        via=actor.via,
    )


def settings_digest(settings: Settings, role: Role, key: bytes | None) -> str:
    """Digest of the settings that a role reads, the same for all of its processes that run with the same ones.

    key: of the trail. With it the digest is keyed and covers secrets; without it secrets are left out, since whoever
    reads the trail could try which one gives the digest.
    """
    read = (name for name in sorted(type(settings).model_fields) if roles_of(name) & role and name not in OF_A_PROCESS)
    text = "\n".join(f"{variable(name)}={_value(settings, name)}" for name in read if key or not is_secret(name))
    digest = hmac.digest(key, text.encode(), "sha256") if key else hashlib.sha256(text.encode()).digest()
    return digest.hex()[:DIGITS]


def changes(events: Iterable[AuditEvent]) -> Iterator[AuditEvent]:
    """The starts with another version, other settings or another bundle than the start of that role before.

    events: the oldest first. The first start of a role is one.
    """
    last: dict[str, str | None] = {}
    for event in events:
        if event.action is AuditAction.CONFIGURED and event.resource.startswith(STARTS):
            if last.get(event.resource) != event.reason:
                yield event
            last[event.resource] = event.reason


def _value(settings: Settings, name: str) -> object:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value

"""The audit events of starts: what is in their digests, and what hinders nothing."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.audit_keys import KEYLESS_STARTS, STARTS, AuditKeys
from schemas.codec import Codec
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from schemas.limits import check
from schemas.permissions import Right, rights
from schemas.setting_types import Role
from schemas.settings import Settings, roles_of
from schemas.topics import AUDIT
from streams.audit.reading import read_trail
from streams.audit.settings import keys_of
from streams.audit.verify import Stored
from streams.local.embedded import EmbeddedKafka
from streams.roles.start_events import (
    RECORDED,
    changes,
    no_keys,
    record_start,
    settings_digest,
    start_event,
    start_recorded,
)

KEY = b"of the trail"


def digest(key: bytes | None = None, role: Role = Role.AGENTS, **given: Any) -> str:
    return settings_digest(Settings(**given), role, key)


@pytest.mark.parametrize("role", RECORDED)
def test_a_start_says_what_runs_and_who_started_it(role: str) -> None:
    event = start_event(Settings(), role, "demo-1", AuditKeys())
    check(event)
    assert (event.action, event.resource, event.role) == (AuditAction.CONFIGURED, f"start.{role}", "service")
    assert event.proof is ActorProof.OS_USER
    assert event.reason is not None
    assert "settings " in event.reason
    assert event.reason.endswith("bundle demo-1")
    without = start_event(Settings(), role, None, AuditKeys()).reason
    assert event.reason == f"{without}, bundle demo-1"


def test_a_changed_setting_of_the_role_changes_the_digest() -> None:
    assert digest() == digest()
    assert digest(alerts_per_user_year=2.0) != digest()
    assert digest(audio_max_s=60.0) == digest(), "which no agent reads"
    assert digest(role=Role.DASHBOARD) != digest()


def test_the_processes_of_one_role_have_the_same_digest() -> None:
    own: dict[str, Any] = {"instance": "agents-1", "metrics_host": "10.0.0.7", "metrics_port": 9464, "supervised": True}
    assert digest(**own) == digest()
    assert digest(role=Role.DASHBOARD, dashboard_host="10.0.0.7") == digest(role=Role.DASHBOARD)


def test_secrets_are_in_a_keyed_digest_alone() -> None:
    secrets: list[dict[str, Any]] = [
        {"redis_password": SecretStr(text), "kms": f"local:/{text}"} for text in ("one", "two")
    ]
    one, two = secrets
    assert digest(**one) == digest(**two) == digest(), "who reads the trail could try passwords"
    assert len({digest(KEY, **one), digest(KEY, **two), digest(KEY), digest(b"another key", **one)}) == 4


def starts(*reasons: str, role: str = "agents") -> list[AuditEvent]:
    first = start_event(Settings(), role, None, AuditKeys())
    return [replace(first, at=first.at + timedelta(hours=n), reason=reason) for n, reason in enumerate(reasons)]


def test_a_start_like_the_one_before_is_no_change() -> None:
    agents = starts("a", "a", "b", "b", "a")
    assert list(changes(agents)) == [agents[0], agents[2], agents[4]]
    others = starts("b", "b", role="history")
    assert list(changes([agents[0], others[0], agents[1], others[1]])) == [agents[0], others[0]]
    look = replace(agents[0], action=AuditAction.VIEWED, resource="person")
    rotated = replace(agents[0], resource="keys.rotate")
    assert list(changes([look, rotated])) == []


async def recorded(settings: Settings) -> list[AuditEvent]:
    found: list[Stored] = []
    await read_trail(settings, lambda extent: extent.begins, found.append)
    return [Codec().decode(record.value, AuditEvent) for record in found]


async def test_a_role_that_works_has_its_start_in_the_trail(tmp_path: Path) -> None:
    with EmbeddedKafka([AUDIT.name]) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap, home=tmp_path, audit_key=SecretStr("k" * 32))
        for role, keys in (("agents", keys_of), ("worker.acoustic", no_keys), ("bridge.webhook", no_keys)):
            before = len(await recorded(settings))
            async with start_recorded(settings, role, keys):
                while len(events := await recorded(settings)) == before:
                    await asyncio.sleep(0.01)
        found = {event.resource: event.mac is not None for event in events}
        assert found == {"start.agents": True, "start.worker.acoustic": False, "start.bridge.webhook": False}


async def test_a_start_that_kafka_does_not_take_is_in_the_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.WARNING)
    await record_start(Settings(kafka_bootstrap="127.0.0.1:9", home=tmp_path), "history", keys_of)
    assert "the start was not recorded in the audit trail: KAFKA_BOOTSTRAP" in caplog.text


async def test_a_role_that_ends_at_once_waits_for_no_event(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(5),
        start_recorded(Settings(kafka_bootstrap="127.0.0.1:9", home=tmp_path), "history", keys_of),
    ):
        pass


def test_roles_whose_starts_are_recorded_may_write_them_with_the_key_of_the_trail() -> None:
    for name, role in RECORDED.items():
        kind, _, part = name.partition(".")
        role_on_kafka = {"worker": part, "keys": "key-server"}.get(kind, kind)
        assert Right(role_on_kafka, "topic", AUDIT.name, "Write") in rights()
        keyless = f"{STARTS}{name}".startswith(KEYLESS_STARTS)
        assert keyless == (role in Role.WORKER | Role.BRIDGE)
        assert bool(roles_of("audit_key") & role) == (not keyless), "a worker with the key could invent events"

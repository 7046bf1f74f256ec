"""The routes of erasures: who asked is recorded first, and no answer but a problem names anything."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.event_enums import AuditAction
from streams.access.roles import StaffRole
from streams.access.viewer import Viewer
from streams.api.routes.erasures import router
from streams.privacy.certificate import verified
from streams.privacy.erasures import ErasureStatus
from tests.erasures import until
from tests.unit.streams.web.stored import AUDITOR, Pages, erasure_pages, pages

WHO = "a-rare-pseudonym"
WANTED = {"user_id": WHO, "reason": "asked in writing", "ticket": "T-7"}
PATH = "/api/v1/erasures"


@pytest.fixture
async def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with erasure_pages(tmp_path, monkeypatch, router, WHO) as made:
        yield made


async def test_an_auditor_erases_somebody_and_takes_the_certificate(shown: Pages) -> None:
    begun = await shown.client.post(PATH, json=WANTED)
    assert begun.status_code == 202, begun.text
    assert WHO not in begun.text + begun.headers["location"]
    erasure_id = begun.json()["erasure_id"]
    await until(shown.application.state.services.erasures, erasure_id, ErasureStatus.DONE)
    followed = await shown.client.get(begun.headers["location"])
    assert (followed.json()["status"], followed.json()["next_step"]) == ("done", None)
    assert [each["erasure_id"] for each in (await shown.client.get(PATH)).json()] == [erasure_id]

    taken = await shown.client.get(f"{PATH}/{erasure_id}/certificate")
    assert f'filename="erasure-{erasure_id}.json"' in taken.headers["content-disposition"]
    assert verified(taken.content)["subject"] == erasure_id
    holds = await shown.client.post(f"{PATH}/verify", content=taken.content)
    assert (holds.status_code, holds.json()["reason"]) == (200, "asked in writing")
    changed = bytearray(taken.content)
    changed[len(changed) // 2] ^= 1
    assert (await shown.client.post(f"{PATH}/verify", content=bytes(changed))).status_code == 422
    events = [(event.action, event.resource, event.user_ids, event.reason) for event in shown.trail.events]
    assert events == [
        (AuditAction.ERASED, "person", (WHO,), "asked in writing"),
        (AuditAction.EXPORTED, "certificate", (), None),
    ]


@pytest.mark.parametrize(
    ("wanted", "status", "events"),
    [
        ({**WANTED, "user_id": "nobody"}, 404, 1),
        ({**WANTED, "reason": f"{WHO} asked"}, 422, 0),
        ({"user_id": WHO}, 422, 0),
        ({**WANTED, "unsealed": True}, 422, 0),
    ],
)
async def test_a_wrong_request_erases_nobody(shown: Pages, wanted: dict[str, object], status: int, events: int) -> None:
    answer = await shown.client.post(PATH, json=wanted)
    assert (answer.status_code, len(shown.trail.events)) == (status, events)
    assert (await shown.client.get(PATH)).json() == []
    assert (await shown.client.get(f"{PATH}/{'0' * 32}")).status_code == 404
    assert (await shown.client.get(f"{PATH}/{'0' * 32}/certificate")).status_code == 404


@pytest.mark.parametrize("role", [StaffRole.CLINICIAN, StaffRole.OPERATOR])
async def test_nobody_else_erases(tmp_path: Path, role: StaffRole) -> None:
    async with pages(tmp_path, [], router, viewer=Viewer("x", frozenset({role}), None)) as made:
        assert (await made.client.post(PATH, json=WANTED)).status_code == 403
        assert (await made.client.get(PATH)).status_code == 403


async def test_where_nothing_was_ever_sealed_there_is_nothing_and_no_key_is_made(tmp_path: Path) -> None:
    async with pages(tmp_path, [], router, viewer=AUDITOR) as made:
        assert (await made.client.get(PATH)).json() == []
        assert (await made.client.post(PATH, json=WANTED)).status_code == 404
        assert (await made.client.post(f"{PATH}/verify", content=b"{}")).status_code == 422
        assert not (tmp_path / "keys.db").exists()

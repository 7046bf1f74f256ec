"""Audit events."""

from dataclasses import replace

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from schemas.codec import Codec
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from schemas.limits import check
from streams.access.audit import NO_SUCH_PERSON, audit_event, check_person, record_look, record_refusal
from streams.access.viewer import LOCAL, StaffRole, Viewer
from tests.unit.streams.access.protected import Protected, protected
from workers.service.prometheus import REQUESTS_REFUSED

ANN = Viewer("ann", frozenset({StaffRole.CLINICIAN}), ("north",))


@pytest.fixture
def world() -> Protected:
    return protected()


def request(world: Protected, asking: Viewer | None = ANN, reason: str = "") -> Request:
    headers = [(b"undertone-reason", reason.encode("latin-1"))]
    return Request(
        {"type": "http", "headers": headers, "state": {"viewer": asking, "look": None}, "app": world.application}
    )


def test_an_event_of_anybody_is_within_the_limits_of_records() -> None:
    for asking in (ANN, LOCAL, None, Viewer("x" * 255, frozenset(StaffRole), None)):
        for reason in (None, "", "é" * 2000):
            event = audit_event(asking, AuditAction.LISTED, "caseload", [f"p-{n}" for n in range(50)], reason)
            check(event)
            read = Codec().decode(Codec().encode(event), AuditEvent)
            assert replace(read, at=event.at) == event


def test_two_looks_are_two_events() -> None:
    events = [audit_event(ANN, AuditAction.VIEWED, "person", ("a",), None) for _ in range(2)]
    assert events[0].audit_id != events[1].audit_id


async def test_a_look_says_who_what_and_why(world: Protected) -> None:
    await record_look(request(world, reason="called in\x07"), AuditAction.VIEWED, "person", ("north-1",))
    (event,) = world.trail.events
    assert (event.actor, event.role, event.resource, event.user_ids) == ("ann", "clinician", "person", ("north-1",))
    assert event.reason == "called in"
    assert event.allowed


async def test_a_look_that_is_not_taken_is_not_shown(world: Protected) -> None:
    world.trail.refuses = True
    unrecorded = REQUESTS_REFUSED.labels(reason="unrecorded")._value
    before = unrecorded.get()
    with pytest.raises(HTTPException) as refused:
        await record_look(request(world), AuditAction.VIEWED, "person", ("north-1",))
    assert refused.value.status_code == 503
    assert unrecorded.get() == before + 1, "the rule UndertoneLooksUnrecorded counts these"


async def test_a_refusal_stands_where_kafka_does_not_answer(world: Protected) -> None:
    world.trail.refuses = True
    await record_refusal(request(world), "person")


async def test_a_foreign_person_and_an_unknown_one_leave_the_same_event(world: Protected) -> None:
    answers = set()
    for cohort in ("south", None):
        with pytest.raises(HTTPException) as refused:
            await check_person(request(world), cohort, "someone")
        answers.add((refused.value.status_code, refused.value.detail, refused.value.headers))
    assert answers == {(404, NO_SUCH_PERSON, None)}
    first, second = world.trail.events
    assert first.allowed is second.allowed is False
    assert (first.action, first.user_ids, first.resource) == (second.action, second.user_ids, second.resource)
    await check_person(request(world), "north", "north-1")
    assert len(world.trail.events) == 2

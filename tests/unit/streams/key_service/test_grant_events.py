"""What the key server writes into the audit trail."""

import pytest

from schemas.errors import Transient
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from streams.key_service.grant_events import CALLERS, EVERY_S, GrantEvents


class Trail:
    """Kafka, which may be away."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.away = False
        self.now = 0.0

    async def write(self, event: AuditEvent) -> None:
        if self.away:
            raise Transient("no broker")
        self.events.append(event)

    @property
    def said(self) -> list[tuple[str, str | None, bool]]:
        return [(event.actor, event.reason, event.allowed) for event in self.events]


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
def events(trail: Trail) -> GrantEvents:
    return GrantEvents(trail.write, clock=lambda: trail.now)


async def test_the_first_grant_is_written_at_once_and_later_ones_are_summed_up(
    trail: Trail, events: GrantEvents
) -> None:
    events.gave("bridge", 2)
    await events.write_due()
    assert trail.said == [("bridge", "keys of 2 people for alerts", True)]
    for people in (3, 0, 4):
        events.gave("bridge", people)
        await events.write_due()
    assert len(trail.events) == 1
    trail.now += EVERY_S
    await events.write_due()
    await events.write_due()
    assert trail.said[1:] == [("bridge", "keys of 7 people for alerts", True)]
    (first, _) = trail.events
    assert (first.action, first.proof, first.user_ids) == (AuditAction.EXPORTED, ActorProof.CERTIFICATE, ())


async def test_refusals_are_counted_by_caller_and_reason(trail: Trail, events: GrantEvents) -> None:
    for caller in ("bridge", "agents", "bridge"):
        events.refused(caller, "no such keys")
    await events.write_due()
    assert sorted(trail.said) == [
        ("agents", "1 times: no such keys", False),
        ("bridge", "2 times: no such keys", False),
    ]
    assert {event.action for event in trail.events} == {AuditAction.REFUSED}


async def test_what_kafka_does_not_take_is_written_later_and_hinders_no_one(trail: Trail, events: GrantEvents) -> None:
    trail.away = True
    events.gave("bridge", 2)
    events.refused("bridge", "no such keys")
    await events.write_due()
    trail.away = False
    await events.write_due()
    assert trail.said == []
    events.gave("bridge", 1)
    trail.now += 60
    await events.write_due()
    assert trail.said == [("bridge", "keys of 3 people for alerts", True), ("bridge", "1 times: no such keys", False)]


async def test_at_the_end_all_is_written_and_strangers_fill_no_memory(trail: Trail, events: GrantEvents) -> None:
    for number in range(3 * CALLERS):
        events.refused(f"stranger {number}", "not in the table")
    await events.write_due()
    assert len(trail.events) == CALLERS
    events.gave("bridge", 1)
    await events.write_due()
    events.gave("bridge", 1)
    await events.write_due(all_of_it=True)
    assert trail.said[-1] == ("bridge", "keys of 1 people for alerts", True)

"""What a check of the trail says where nothing was tampered with, and where a head alone shows it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.audit_chain import linked
from schemas.audit_keys import AuditKeys
from schemas.event_enums import AuditAction
from streams.audit.findings import Kind
from streams.audit.verify import Stored
from tests.unit.streams.audit.trails import AT, CODEC, KEYS, Trail, event, trail

LATER = AT + timedelta(days=2200)
"""After the retention of every event."""


def expired(made: Trail, gone: int) -> dict[int, int]:
    """Let the first records of each partition expire; the first offsets that are left."""
    for number, log in made.records.items():
        made.records[number] = log[gone:]
    return {number: log[0].offset if log else made.after(number) for number, log in made.records.items()}


def test_what_expired_is_no_finding_once_its_heads_are_older_than_retention() -> None:
    for gone in range(1, 6):
        made = trail(60, 6, 0, seed=gone)
        begins = expired(made, gone)
        assert made.verdict(now=LATER, begins=begins).findings == []
        found = made.verdict(now=AT, begins=begins).findings
        assert {each.kind for each in found} == {Kind.CUT}, "deleted before its time"


def test_a_change_is_found_among_what_has_expired_in_part() -> None:
    for seed in range(20):
        made = trail(60, 6, 0, seed=seed)
        begins = expired(made, 2)
        log = made.records[seed % 3]
        log[0] = replace(log[0], value=CODEC.encode(event(1000, "ann")))
        found = made.verdict(now=LATER, begins=begins).findings
        assert (found[0].kind, found[0].partition, found[0].offset) == (Kind.CHANGED, seed % 3, log[0].offset)


def test_events_of_before_there_were_chains_are_counted_and_covered_by_heads() -> None:
    made = Trail()
    for number in range(6):
        made.append(event(number, "ann"), number % 3)
    assert made.verdict().findings == []
    made.sign(AT)
    verdict = made.verdict()
    assert (verdict.findings, verdict.unchained, verdict.holds) == ([], 6, 1)


def test_without_heads_chains_show_what_they_can_and_nothing_holds() -> None:
    made = trail(30, 0, 30)
    verdict = made.verdict()
    assert (verdict.findings, verdict.heads, verdict.holds, verdict.unsigned) == ([], 0, 0, 30)


def test_without_the_key_of_the_trail_codes_are_not_checked() -> None:
    assert trail(30, 3, 6).verdict(keys=AuditKeys()).findings == []
    other = trail(30, 3, 6).verdict(keys=AuditKeys.of(b"another key")).findings
    assert {each.kind for each in other} == {Kind.INVENTED}
    assert len(other) == 6, "what a head covers was there when it was signed"


def test_a_topic_that_was_made_anew_is_a_cut_from_the_first_record_on() -> None:
    made = trail(30, 3, 0)
    made.records = {number: [] for number in made.records}
    verdict = made.verdict()
    assert {each.kind for each in verdict.findings} == {Kind.CUT}
    assert verdict.holds == 0


def test_a_change_that_was_signed_is_still_a_change_of_its_event() -> None:
    made = Trail()
    new = trail(3, 0, 3).events[0]
    made.append(new, 0)
    record = made.records[0][0]
    made.records[0][0] = Stored(0, 0, record.key, CODEC.encode(replace(new, actor="nobody")))
    made.sign(AT)
    assert [each.kind for each in made.verdict(keys=KEYS).findings] == [Kind.CHANGED]


START: dict[str, Any] = {"action": AuditAction.CONFIGURED, "resource": "start.worker.acoustic", "user_ids": ()}


@pytest.mark.parametrize(
    ("said", "key", "believed"),
    [
        ({}, None, True),
        ({"resource": "start.bridge.webhook"}, None, True),
        ({}, b"a key that somebody made up", False),
        ({"resource": "start.agents"}, None, False),
        ({"resource": "keys.rotate"}, None, False),
        ({"action": AuditAction.VIEWED}, None, False),
        ({"user_ids": ("ann",)}, None, False),
    ],
)
def test_an_event_without_code_is_believed_of_the_start_of_a_worker_or_bridge_alone(
    said: dict[str, Any], key: bytes | None, believed: bool
) -> None:
    made = trail(30, 3, 6)
    made.append(linked(replace(event(100, "worker"), **{**START, **said}), "another-writer", 1, None, key), 0)
    assert [each.kind for each in made.verdict().findings] == ([] if believed else [Kind.INVENTED])

"""The table of key grants, against what roles may do on Kafka."""

import pytest

from schemas.key_grants import KEY_GRANTS
from schemas.key_purposes import TOPIC_PURPOSES, Purpose
from schemas.permissions import rights
from schemas.topics import AUDIT

TOPICS = frozenset(TOPIC_PURPOSES.values())


def test_a_bridge_opens_alerts_and_nothing_else_and_asks_for_nobody() -> None:
    bridge = KEY_GRANTS["bridge"]
    assert (bridge.purposes, bridge.enrols, bridge.finds) == (frozenset({Purpose.ALERTS}), False, False)
    assert KEY_GRANTS["bridge-fhir"].purposes == {Purpose.ALERTS, Purpose.SCORES}


def test_no_worker_opens_scores_alerts_states_or_rows() -> None:
    closed = {Purpose.SCORES, Purpose.ALERTS, Purpose.STATE, Purpose.VALUE, Purpose.SQL, Purpose.CARE}
    for worker in ("acoustic", "embedding"):
        assert not KEY_GRANTS[worker].purposes & closed


@pytest.mark.parametrize("role", [name for name in KEY_GRANTS if not name.startswith("bridge")])
def test_who_may_read_or_write_a_topic_may_open_it(role: str) -> None:
    """And who may not is given no key of it; the dashboard shows alerts out of the history."""
    on_kafka = {
        TOPIC_PURPOSES[right.name]
        for right in rights()
        if right.role == role and right.name in TOPIC_PURPOSES and right.operation in {"Read", "Write"}
    } - {TOPIC_PURPOSES[AUDIT.name]}
    beyond = (KEY_GRANTS[role].purposes & TOPICS) - on_kafka
    assert on_kafka <= KEY_GRANTS[role].purposes
    assert beyond <= ({Purpose.ALERTS} if role == "dashboard" else set())


def test_every_role_that_reads_or_writes_people_is_in_the_table() -> None:
    named = {r.role for r in rights() if r.name in TOPIC_PURPOSES and r.name != AUDIT.name and r.operation == "Read"}
    assert named <= KEY_GRANTS.keys()


def test_nobody_is_given_the_key_of_names() -> None:
    assert not any(Purpose.NAME in grant.purposes for grant in KEY_GRANTS.values())

"""What the key server gives to each role: one table, by the name in a role's certificate.

A role opens what it may read on Kafka, and nothing else: its purposes are those of its topics in
`schemas/permissions.py`, and of the state, rows and audio that it works on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.channels import CHANNELS
from schemas.key_purposes import TOPIC_PURPOSES, Purpose
from schemas.permissions import rights
from schemas.pipeline import FEATURE_STAGES
from schemas.topics import ALERTS

READ_OR_WRITTEN = frozenset({"Read", "Write"})
"""Operations on a topic that take its key."""
REDIS = frozenset({Purpose.STATE, Purpose.VALUE})
EVERY = frozenset(Purpose) - {Purpose.NAME, Purpose.AUDIT}
"""Names are opened by the service alone, and nothing is sealed for the audit trail."""


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What one role is given.

    purposes: of the keys; enrols: whether it may give a person who is new a subject; finds: whether it may ask by
    pseudonym. Who asks by the subject of a sealed value also gets the pseudonym, which the value holds as well.
    """

    purposes: frozenset[Purpose]
    enrols: bool = False
    finds: bool = False


def _of_topics(role: str) -> frozenset[Purpose]:
    """The purposes of the topics that a role reads or writes on Kafka."""
    return frozenset(
        TOPIC_PURPOSES[right.name]
        for right in rights()
        if right.role == role and right.name in TOPIC_PURPOSES and right.operation in READ_OR_WRITTEN
    ) - {Purpose.AUDIT}


def _given(role: str, more: Iterable[Purpose] = (), *, enrols: bool = False) -> KeyGrant:
    """A role that asks by pseudonym, as whoever writes does. more: besides its topics and headers."""
    return KeyGrant(_of_topics(role) | {Purpose.HEADERS, *more}, enrols, finds=True)


def _of_bridges() -> Mapping[str, KeyGrant]:
    """A name for all channels that read alerts alone, and one for each that reads more."""
    alone = KeyGrant(frozenset({TOPIC_PURPOSES[ALERTS.name]}))
    more = {
        f"bridge-{channel.name}": KeyGrant(frozenset(TOPIC_PURPOSES[topic.name] for topic in channel.reads))
        for channel in CHANNELS
        if channel.reads != (ALERTS,)
    }
    return {"bridge": alone, **more}


KEY_GRANTS: Mapping[str, KeyGrant] = {
    # Copies of audio lie in a home that a worker shares with whoever submits.
    **{stage.name: _given(stage.name, {Purpose.AUDIO}, enrols=True) for stage in FEATURE_STAGES},
    "agents": _given("agents", REDIS, enrols=True),
    **_of_bridges(),
    "history": _given("history", {Purpose.SQL}, enrols=True),
    "dashboard": _given("dashboard", {Purpose.SQL, Purpose.AUDIO, Purpose.ALERTS, *REDIS}, enrols=True),
    "submit": _given("submit", {Purpose.AUDIO}, enrols=True),
    "consent": _given("consent", enrols=True),
    "alerts": _given("alerts", REDIS, enrols=True),
    "views": _given("views", {Purpose.SQL, *REDIS}),
    "dead-letters": _given("dead-letters", REDIS, enrols=True),
    "rescore": _given("rescore", REDIS, enrols=True),
    # Who runs it exports and erases as well.
    "doctor": KeyGrant(EVERY, enrols=True, finds=True),
}
"""By name. Whoever is not in the table is given nothing."""

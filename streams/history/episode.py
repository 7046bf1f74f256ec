"""Episodes: made from their steps and from what people did about them, and read again with both."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from schemas.codec import Codec
from schemas.event_enums import CareActionKind, CareOutcome
from schemas.events import AlertKind, AlertState, CareAction, RiskAlert, Severity
from streams.history.opened_rows import opened
from streams.history.sealing import keys_of, stored_rows
from streams.history.tables import ACTIONS, ALERTS, EPISODES, unix_ms
from streams.history.writes.bulk import chunks, upsert

FRAMES = Codec()
"""Rows hold records in Avro single-object encoding, whatever framing the topics have."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of one person.

    severity: the gravest so far; opened_at: its first step; since: estimated start of the change; closed_at: when it
    was resolved, None while it is open; steps and actions: oldest first; acknowledged: the latest acknowledgement;
    outcome: the latest one given; assignee: who takes it over.
    """

    dedup_key: str
    user_id: str
    kind: AlertKind
    severity: Severity
    opened_at: datetime
    since: datetime
    closed_at: datetime | None
    summary: str
    bundle_id: str
    steps: tuple[RiskAlert, ...]
    actions: tuple[CareAction, ...]
    acknowledged: CareAction | None
    outcome: CareOutcome | None
    assignee: str | None

    @property
    def open(self) -> bool:
        """Whether it is not resolved."""
        return self.closed_at is None


def made_from(steps: Iterable[RiskAlert], actions: Iterable[CareAction]) -> Episode | None:
    """The episode of these steps and actions, in whatever order they came; None without a step.

    Steps of another user than the first one's are left out.
    """
    ordered = sorted(steps, key=lambda step: (step.at, _ORDER[step.state], step.alert_id))
    if not ordered:
        return None
    first = ordered[0]
    own = tuple(step for step in ordered if step.user_id == first.user_id)
    done = tuple(
        sorted((one for one in actions if one.user_id == first.user_id), key=lambda one: (one.at, one.action_id))
    )
    acknowledged = [one for one in done if one.action is CareActionKind.ACKNOWLEDGED]
    critical = any(step.severity is Severity.CRITICAL for step in own)
    resolved = [step.at for step in own if step.state is AlertState.RESOLVED]
    summaries = [step.summary for step in own if step.summary and step.state is not AlertState.RESOLVED]
    return Episode(
        dedup_key=first.dedup_key,
        user_id=first.user_id,
        kind=first.kind,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        opened_at=first.at,
        since=first.since,
        closed_at=max(resolved, default=None),
        summary=summaries[-1] if summaries else own[-1].summary,
        bundle_id=first.bundle_id,
        steps=own,
        actions=done,
        acknowledged=acknowledged[-1] if acknowledged else None,
        outcome=next((one.outcome for one in reversed(acknowledged) if one.outcome is not None), None),
        assignee=next((one.assignee for one in reversed(done) if one.assignee is not None), None),
    )


_ORDER = {AlertState.RAISED: 0, AlertState.ESCALATED: 1, AlertState.RESOLVED: 2}


def episode(connection: Connection, dedup_key: str) -> Episode | None:
    """The episode of this key; None when there is none."""
    return loaded(connection, [dedup_key]).get(dedup_key)


def episodes(connection: Connection, user_id: str, limit: int = 200) -> list[Episode]:
    """The newest episodes of a person, newest first."""
    keys = connection.scalars(
        select(EPISODES.c.dedup_key)
        .where(EPISODES.c.user_id.in_(keys_of(connection, [user_id])))
        .order_by(EPISODES.c.opened_ms.desc(), EPISODES.c.dedup_key)
        .limit(limit)
    ).all()
    found = loaded(connection, keys)
    return [found[key] for key in keys if key in found]


def loaded(connection: Connection, dedup_keys: Sequence[str]) -> dict[str, Episode]:
    """The episodes of these keys, made from their steps and actions."""
    steps: Mapping[str, list[RiskAlert]] = defaultdict(list)
    actions: Mapping[str, list[CareAction]] = defaultdict(list)
    for some in chunks(dedup_keys):
        raised = select(*(ALERTS.c[name] for name in ("user_id", "alert_id", "dedup_key", "record")))
        for row in opened(connection, raised.where(ALERTS.c.dedup_key.in_(some)), ALERTS):
            steps[row.dedup_key].append(FRAMES.decode(row.record, RiskAlert))
        done = select(*(ACTIONS.c[name] for name in ("user_id", "action_id", "dedup_key", "record")))
        for row in opened(connection, done.where(ACTIONS.c.dedup_key.in_(some)), ACTIONS):
            actions[row.dedup_key].append(FRAMES.decode(row.record, CareAction))
    found = {key: made_from(steps[key], actions[key]) for key in dedup_keys}
    return {key: one for key, one in found.items() if one is not None}


def store_again(
    connection: Connection, dedup_keys: Iterable[str], cohorts: Mapping[str, str], users: Collection[str]
) -> set[str]:
    """Make the rows of those of these episodes again that are of these users; whose they are. cohorts: of the users."""
    found = loaded(connection, sorted(set(dedup_keys)))
    own = [one for one in found.values() if one.user_id in users]
    rows = stored_rows(connection, EPISODES, [_row(one, cohorts.get(one.user_id, "")) for one in own])
    if rows:
        insert = upsert(connection, EPISODES)
        changed = {name: insert.excluded[name] for name in rows[0] if name != "dedup_key"}
        connection.execute(insert.on_conflict_do_update(index_elements=["dedup_key"], set_=changed), rows)
    return {one.user_id for one in own}


def _row(one: Episode, cohort: str) -> dict[str, object]:
    return {
        "dedup_key": one.dedup_key,
        "user_id": one.user_id,
        "cohort": cohort,
        "kind": str(one.kind),
        "severity": str(one.severity),
        "opened_ms": unix_ms(one.opened_at),
        "since_ms": unix_ms(one.since),
        "closed_ms": None if one.closed_at is None else unix_ms(one.closed_at),
        # PostgreSQL keeps no character of code 0 in a text.
        "summary": one.summary.replace("\0", "\N{REPLACEMENT CHARACTER}"),
        "bundle_id": one.bundle_id,
        "acknowledged_ms": None if one.acknowledged is None else unix_ms(one.acknowledged.at),
        "outcome": None if one.outcome is None else str(one.outcome),
        "assignee": one.assignee,
        "sealed": None,
    }

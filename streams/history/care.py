"""What people did: stored once, whoever stores it first, and applied to episodes, mutes and marks."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from schemas.event_enums import CareActionKind, MarkKind
from schemas.events import CareAction
from streams.history.episode import FRAMES, store_again
from streams.history.opened_rows import opened
from streams.history.sealing import keys_of, stored_rows
from streams.history.tables import ACTIONS, unix_ms
from streams.history.writes import people
from streams.history.writes.bulk import chunks, upsert
from streams.history.writes.conversion import clear_users, taken_over
from streams.history.writes.people import Changes

MUTING = (CareActionKind.MUTED, CareActionKind.UNMUTED)
MARKING = (CareActionKind.MARKED, CareActionKind.UNMARKED)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that explains a change: what, from when until when, None while it holds, and who said so when.

    excluded: its memos are left out of the person's baseline.
    """

    mark_id: str
    kind: MarkKind
    since: datetime
    until: datetime | None
    excluded: bool
    note: str | None
    actor: str
    at: datetime


def apply_action(connection: Connection, action: CareAction, now_ms: int | None = None) -> bool:
    """Store an action and what follows from it; False when it was there, and nothing changed.

    now_ms: Unix time in milliseconds; the action's own time if None. A person without a row gets none here: history
    makes it when it reads the action. Where rows are sealed, nothing is stored here of a person without a key.
    """
    about = [action.user_id]
    if not taken_over(connection, about, clear_users(connection, about)):
        return False
    if not insert_actions(connection, [(action, None, None)]):
        return False
    rows = people.locked(connection, about)
    changes = Changes(muted_ms=mutes_of(connection, [action]))
    if action.dedup_key is not None:
        cohorts = {user: row.cohort for user, row in rows.items()}
        changes.episodes = store_again(connection, [action.dedup_key], cohorts, about)
    people.store_changes(connection, rows, changes, unix_ms(action.at) if now_ms is None else now_ms)
    return True


Placed = tuple[CareAction, int | None, int | None]
"""An action, and partition and number of its record where history has read it."""


def insert_actions(connection: Connection, placed: Sequence[Placed]) -> set[str]:
    """Store actions; the ids of those that are new. A place that was not known is added to one that is there."""
    rows = {
        action.action_id: {
            "action_id": action.action_id,
            "user_id": action.user_id,
            "dedup_key": action.dedup_key,
            "at_ms": unix_ms(action.at),
            "record": FRAMES.encode(action),
            "partition": partition,
            "seq": seq,
        }
        for action, partition, seq in reversed(placed)
    }
    stored = {row["action_id"]: row for row in stored_rows(connection, ACTIONS, list(rows.values()))}
    ids = dict(zip(stored, rows, strict=True))
    new: set[str] = set()
    for some in chunks(list(stored.values())):
        insert = upsert(connection, ACTIONS).on_conflict_do_nothing().returning(ACTIONS.c.action_id)
        new.update(connection.scalars(insert, some))
    known: list[dict[str, Any]] = [
        {"b_id": stored_id, "b_partition": row["partition"], "b_seq": row["seq"]}
        for stored_id, row in stored.items()
        if stored_id not in new and row["seq"] is not None
    ]
    if known:
        place = update(ACTIONS).where(ACTIONS.c.action_id == bindparam("b_id"), ACTIONS.c.seq.is_(None))
        connection.execute(place.values(partition=bindparam("b_partition"), seq=bindparam("b_seq")), known)
    return {ids[stored_id] for stored_id in new}


def mutes_of(connection: Connection, actions: Iterable[CareAction]) -> dict[str, int | None]:
    """New ends of the mutes of users that these actions muted or unmuted."""
    users = sorted({action.user_id for action in actions if action.action in MUTING})
    found: dict[str, int | None] = {}
    for user, done in actions_of(connection, users).items():
        last = [action for action in done if action.action in MUTING][-1]
        until = last.until if last.action is CareActionKind.MUTED else None
        found[user] = None if until is None else unix_ms(until)
    return found


def actions_of(connection: Connection, users: Collection[str]) -> dict[str, list[CareAction]]:
    """All actions about these users, oldest first; users without any are left out."""
    found: dict[str, list[CareAction]] = {}
    for some in chunks(sorted(keys_of(connection, users))):
        rows = select(ACTIONS.c.user_id, ACTIONS.c.action_id, ACTIONS.c.record).where(ACTIONS.c.user_id.in_(some))
        for row in opened(connection, rows, ACTIONS):
            found.setdefault(row.user_id, []).append(FRAMES.decode(row.record, CareAction))
    for done in found.values():
        done.sort(key=lambda action: (unix_ms(action.at), action.action_id))
    return found


def marks(connection: Connection, user_id: str) -> list[Mark]:
    """The marks of a person that were not taken back, by their beginning."""
    return marks_from(actions_of(connection, [user_id]).get(user_id, []))


def marks_from(actions: Iterable[CareAction]) -> list[Mark]:
    """The marks that these actions, oldest first, leave; one that names an earlier mark replaces it."""
    found: dict[str, Mark] = {}
    for action in actions:
        if action.action in MARKING and action.mark_id is not None:
            found.pop(action.mark_id, None)
        if action.action is CareActionKind.MARKED:
            found[action.action_id] = _mark(action)
    return sorted(found.values(), key=lambda mark: (mark.since, mark.mark_id))


def _mark(action: CareAction) -> Mark:
    return Mark(
        mark_id=action.action_id,
        kind=MarkKind.OTHER if action.mark is None else action.mark,
        since=action.at if action.since is None else action.since,
        until=action.until,
        excluded=action.excluded,
        note=action.note,
        actor=action.actor,
        at=action.at,
    )

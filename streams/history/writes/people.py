"""The row of each person: kept in step with memos, episodes and mutes, within the transaction that stores these."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from streams.history import attention
from streams.history.attention import OpenEpisode, Rank, RecentMemo
from streams.history.cohorts import Cohorts, cohorts_of
from streams.history.opened_rows import opened
from streams.history.sealing import keys_of, stored_rows
from streams.history.tables import EPISODES, PEOPLE
from streams.history.writes.bulk import among, chunks, insert_new, update_rows
from workers.sql.connections import is_sqlite

CHANGING = tuple(column.name for column in PEOPLE.columns if column.name not in {"user_id", "folded", "cohort"})


@dataclass(slots=True)
class Changes:
    """What one transaction changes about people.

    memos: new and rescored memos by user; counted: how many of them are new; episodes: users with an episode that
    may have changed; muted_ms: new ends of mutes by user.
    """

    memos: dict[str, list[RecentMemo]] = field(default_factory=lambda: defaultdict(list))
    counted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    episodes: set[str] = field(default_factory=set)
    muted_ms: dict[str, int | None] = field(default_factory=dict)

    @property
    def users(self) -> list[str]:
        """Everybody that they are about, in the order in which rows are locked."""
        return sorted({*self.memos, *self.episodes, *self.muted_ms})


People = Mapping[str, Row[Any]]
"""Rows by pseudonym, locked until the transaction ends."""


def locked(connection: Connection, users: Collection[str]) -> dict[str, Row[Any]]:
    """The rows of these people, without those who have none."""
    found: dict[str, Row[Any]] = {}
    for some in chunks(sorted(keys_of(connection, users))):
        rows = select(PEOPLE).where(among(connection, PEOPLE.c.user_id, some)).order_by(PEOPLE.c.user_id)
        if not is_sqlite(connection):
            rows = rows.with_for_update()  # SQLite has one writer at a time
        found.update((row.user_id, row) for row in opened(connection, rows, PEOPLE))
    return found


def lock(connection: Connection, names: Collection[str]) -> None:
    """Lock the rows of people by stored name, in the order of every other writer. SQLite has one writer at a time."""
    if not is_sqlite(connection):
        for some in chunks(sorted(names)):
            rows = select(PEOPLE.c.user_id).where(among(connection, PEOPLE.c.user_id, some))
            connection.execute(rows.order_by(PEOPLE.c.user_id).with_for_update())


def locked_or_made(connection: Connection, users: Collection[str], cohorts: Cohorts) -> dict[str, Row[Any]]:
    """The rows of all these people; who has none gets one."""
    found = locked(connection, users)
    missing = sorted(set(users) - found.keys())
    if missing:
        belongs = cohorts_of(connection, missing, cohorts)
        rows = [{**_EMPTY, "user_id": user, "folded": user.casefold(), "cohort": belongs[user]} for user in missing]
        insert_new(connection, PEOPLE, stored_rows(connection, PEOPLE, rows))
        found.update(locked(connection, missing))
    return found


_EMPTY = {"rank": int(Rank.NONE), "since_ms": 0, "memos": 0, "recent": b""}


def store_changes(connection: Connection, people: People, changes: Changes, now_ms: int) -> None:
    """Write the rows of these people with the changes; those of others that the changes name are left out.

    Episodes are read from their own rows, which must be up to date.
    """
    open_episodes, calm_ms = _episodes_of(connection, changes.episodes & people.keys())
    rows = []
    for user in changes.users:
        if user in people:
            values = dict(people[user]._mapping)
            _add_memos(values, changes.memos.get(user, ()), changes.counted.get(user, 0))
            if user in changes.episodes:
                _set_episode(values, attention.foremost(open_episodes[user]), calm_ms.get(user))
            if user in changes.muted_ms:
                values["muted_ms"] = changes.muted_ms[user]
            rows.append({"user_id": user, **with_standing(values, now_ms)})
    update_rows(connection, PEOPLE, "user_id", stored_rows(connection, PEOPLE, rows))


def with_standing(values: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """What is stored of a person, with the rank that the person has now."""
    episode = (
        None
        if values["episode_key"] is None
        else OpenEpisode(values["episode_key"], Rank(values["episode_rank"]), values["episode_ms"])
    )
    recent = attention.recent_from_bytes(values["recent"])
    times = (values["silent_ms"], values["first_ms"], values["calm_ms"])
    now = attention.standing(recent, episode, *times, now_ms)
    return {**{name: values[name] for name in CHANGING}, "rank": int(now.rank), "since_ms": now.since_ms}


def _add_memos(values: dict[str, Any], memos: Sequence[RecentMemo], counted: int) -> None:
    if not memos:
        return
    recent = attention.with_memos(attention.recent_from_bytes(values["recent"]), memos)
    times = [memo.recorded_ms for memo in memos]
    values["recent"] = attention.recent_to_bytes(recent)
    values["memos"] += counted
    values["first_ms"] = min(times) if values["first_ms"] is None else min(values["first_ms"], *times)
    values["last_ms"] = recent[-1].recorded_ms
    values["silent_ms"] = attention.silent_from_ms(recent)


def _set_episode(values: dict[str, Any], foremost: OpenEpisode | None, calm_ms: int | None) -> None:
    values["episode_key"] = None if foremost is None else foremost.dedup_key
    values["episode_rank"] = None if foremost is None else int(foremost.rank)
    values["episode_ms"] = None if foremost is None else foremost.opened_ms
    values["calm_ms"] = calm_ms


def _episodes_of(
    connection: Connection, users: Iterable[str]
) -> tuple[Mapping[str, list[OpenEpisode]], dict[str, int]]:
    """The open episodes of these people, and the end of the last closed one."""
    still: Mapping[str, list[OpenEpisode]] = defaultdict(list)
    calm_ms: dict[str, int] = {}
    columns = EPISODES.c
    keys = keys_of(connection, list(users))
    for some in chunks(sorted(keys)):
        rows = connection.execute(select(EPISODES).where(among(connection, columns.user_id, some)))
        for row in rows:
            user = keys[row.user_id]
            if row.closed_ms is None:
                rank = attention.rank_of_episode(row.kind, row.severity, row.acknowledged_ms is not None)
                still[user].append(OpenEpisode(row.dedup_key, rank, row.opened_ms))
            else:
                calm_ms[user] = max(row.closed_ms, calm_ms.get(user, 0))
    return still, calm_ms

"""The caseload: who needs a look, first; a page of it is one query, however many people there are."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache, partial
from math import inf
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    Subquery,
    bindparam,
    func,
    select,
)

from schemas.events import AlertKind, Band, Severity
from streams.history import attention
from streams.history.attention import Attention, Rank
from streams.history.caseload_order import FEW, KEY, CaseloadFilter, Cursor, Kind, first, found_by_search, ranges
from streams.history.opened_rows import Opened, filled, opened
from streams.history.sealing import keys_of, may_be_sealed
from streams.history.tables import EPISODES, PEOPLE, POSITIONS, maybe_moment, moment

SLOW_S, KEPT_S = 0.1, 60.0
"""A count that took longer than the first is used for the second, in seconds."""


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """The open episode that stands for a person in the caseload; since: estimated start of the change."""

    dedup_key: str
    kind: AlertKind
    severity: Severity
    opened_at: datetime
    since: datetime
    summary: str
    acknowledged_at: datetime | None
    assignee: str | None
    open: bool


@dataclass(frozen=True, slots=True)
class CaseloadRow:
    """One person.

    attention_since: since when this holds; last_band, last_probability: of the latest memo; spark: probabilities of the
    latest memos, oldest first, None for one that has none; memos: all so far; memos_per_week: None when too few are
    known; indeterminate_share: of the latest memos, those that could not be judged; indeterminate_reason: the most
    frequent reason.
    """

    user_id: str
    cohort: str
    attention: Attention
    attention_since: datetime
    episode: EpisodeSummary | None
    last_memo_at: datetime | None
    last_band: Band | None
    last_probability: float | None
    spark: tuple[float | None, ...]
    memos: int
    memos_per_week: float | None
    indeterminate_share: float
    indeterminate_reason: str | None
    muted_until: datetime | None


@dataclass(frozen=True, slots=True)
class CasePage:
    """Some people, who need a look first. next: cursor of the next page, None on the last one."""

    rows: tuple[CaseloadRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class CaseCounts:
    """How many people are followed, and how many of them need a look and why."""

    people: int
    open_episodes: int
    silent: int
    unjudged: int
    last_memo_at: datetime | None


def caseload(connection: Connection, wanted: CaseloadFilter, after: str | None = None, limit: int = 50) -> CasePage:
    """A page of at most `limit` people, after the row whose cursor is `after`. Raises ValueError for another text."""
    cursor = None if after is None else _decoded(after)
    if wanted.cohorts == ():
        return CasePage((), None)
    if wanted.search.strip() and may_be_sealed(connection):
        exact = wanted.search.strip().replace("\0", "")
        wanted = replace(wanted, stored_names=tuple(keys_of(connection, [exact])))
    found = filled(limit + 1, partial(_page, connection, wanted, cursor))
    rows = tuple(row_of(row) for row in found[:limit])
    return CasePage(rows, _encoded(found[limit - 1]) if len(found) > limit else None)


def person_columns(connection: Connection, user_id: str) -> Row[Any] | None:
    """What is stored of one person, with the episode that `row_of` shows; None for one who is not known."""
    own = _own().params(user_ids=list(keys_of(connection, [user_id])))
    return next(iter(opened(connection, own, PEOPLE, e_=EPISODES)), None)


def _page(connection: Connection, wanted: CaseloadFilter, after: Cursor | None, limit: int) -> Opened:
    found = _searched(connection, wanted, after, limit) if wanted.search.strip() else None
    if found is not None:
        return found
    return opened(connection, _listed(Kind.of(connection), wanted, after, limit), PEOPLE, e_=EPISODES)


_EPISODE = (
    "dedup_key",
    "sealed",
    "kind",
    "severity",
    "opened_ms",
    "since_ms",
    "summary",
    "acknowledged_ms",
    "assignee",
)


def caseload_counts(connection: Connection, cohorts: Sequence[str] | None = None) -> CaseCounts:
    """The people of these cohorts, None for all, by what they need.

    last_memo_at is when the newest score was written: of all cohorts, as it says whether the system works.
    """
    within = () if cohorts is None else (PEOPLE.c.cohort.in_(tuple(cohorts)),)
    counted = dict.fromkeys(Rank, 0)
    needed = select(PEOPLE.c.rank, func.count()).where(PEOPLE.c.rank < int(Rank.NONE), *within)
    for rank, number in connection.execute(needed.group_by(PEOPLE.c.rank)):
        counted[Rank(rank)] = number
    counted[Rank.NONE] = _calm(connection, None if cohorts is None else tuple(sorted(cohorts)))
    silent_episodes = connection.scalar(
        select(func.count()).where(PEOPLE.c.rank == int(Rank.SILENT), PEOPLE.c.episode_key.is_not(None), *within)
    )
    last_ms = connection.scalar(select(func.max(POSITIONS.c.last_ms)).where(POSITIONS.c.topic == "risk.scored"))
    return CaseCounts(
        people=sum(counted.values()),
        open_episodes=sum(counted[rank] for rank in Rank if rank < Rank.SILENT) + (silent_episodes or 0),
        silent=counted[Rank.SILENT],
        unjudged=counted[Rank.UNJUDGED],
        last_memo_at=moment(last_ms) if last_ms is not None and last_ms > 0 else None,
    )


def _calm(connection: Connection, cohorts: tuple[str, ...] | None) -> int:
    """How many people need no look: most of them, so a count that took long is good for a while."""
    known = _COUNTED.setdefault(connection.engine, {})
    counted_at, number = known.get(cohorts, (-inf, 0))
    began = monotonic()
    if began - counted_at < KEPT_S:
        return number
    within = () if cohorts is None else (PEOPLE.c.cohort.in_(cohorts),)
    number = connection.scalar(select(func.count()).where(PEOPLE.c.rank == int(Rank.NONE), *within)) or 0
    if monotonic() - began > SLOW_S:
        known[cohorts] = monotonic(), number
    return number


_COUNTED: WeakKeyDictionary[Engine, dict[tuple[str, ...] | None, tuple[float, int]]] = WeakKeyDictionary()


@lru_cache(64)
def _listed(kind: Kind, wanted: CaseloadFilter, after: Cursor | None, limit: int) -> Select[Any]:
    """The query of a page. Most ask for the same first page, and to build the query takes longer than to run it."""
    return _shown(first(ranges(kind, wanted, after, limit), limit))


@cache
def _own() -> Select[Any]:
    return _shown(select(*KEY).where(PEOPLE.c.user_id.in_(bindparam("user_ids", expanding=True))).subquery())


def _shown(keys: Subquery) -> Select[Any]:
    """What a page shows of the people with these keys, in their order."""
    episode = (EPISODES.c[name].label(f"e_{name}") for name in _EPISODE)
    both = keys.join(PEOPLE, PEOPLE.c.user_id == keys.c.user_id)
    return (
        select(PEOPLE, PEOPLE.c.user_id.label("stored_name"), *episode)
        .select_from(both.outerjoin(EPISODES, EPISODES.c.dedup_key == PEOPLE.c.episode_key))
        .order_by(keys.c.rank, keys.c.since_ms.desc(), keys.c.user_id.desc())
    )


def _searched(connection: Connection, wanted: CaseloadFilter, after: Cursor | None, limit: int) -> Opened | None:
    """The page of a search that finds few people, who are sorted; None when it finds many: ranges are quicker then."""
    found = found_by_search(Kind.of(connection), wanted, after)
    keys = first([select(found.c.rank, found.c.since_ms, found.c.user_id)], limit)
    number = select(func.count()).select_from(found)
    shown = _shown(keys).add_columns(number.scalar_subquery().label("number"))
    rows = opened(connection, shown, PEOPLE, e_=EPISODES)
    return None if rows and rows[0].number > FEW else rows


def _encoded(row: Row[Any]) -> str:
    text = json.dumps([row.rank, row.since_ms, row.stored_name], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(text: str) -> Cursor:
    try:
        rank, since_ms, user_id = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError) as error:
        raise ValueError("not a cursor of the caseload") from error
    if type(rank) is not int or type(since_ms) is not int or not isinstance(user_id, str) or "\0" in user_id:
        raise ValueError("not a cursor of the caseload")
    if not -(2**63) <= since_ms < 2**63:
        raise ValueError("not a cursor of the caseload")
    return rank, since_ms, user_id


def row_of(row: Row[Any]) -> CaseloadRow:
    """A person's row, from the columns."""
    recent = attention.recent_from_bytes(row.recent)
    last = recent[-1] if recent else None
    return CaseloadRow(
        user_id=row.user_id,
        cohort=row.cohort,
        attention=Rank(row.rank).attention,
        attention_since=moment(row.since_ms),
        episode=_summary(row),
        last_memo_at=maybe_moment(row.last_ms),
        last_band=None if last is None else Band(last.band),
        last_probability=None if last is None else last.probability,
        spark=tuple(memo.probability for memo in recent),
        memos=row.memos,
        memos_per_week=attention.memos_per_week(recent),
        indeterminate_share=attention.unusable_share(recent),
        indeterminate_reason=attention.unusable_reason(recent),
        muted_until=maybe_moment(row.muted_ms),
    )


def _summary(row: Row[Any]) -> EpisodeSummary | None:
    if row.episode_key is None or row.e_kind is None:
        return None
    return EpisodeSummary(
        dedup_key=row.episode_key,
        kind=AlertKind(row.e_kind),
        severity=Severity(row.e_severity),
        opened_at=moment(row.e_opened_ms),
        since=moment(row.e_since_ms),
        summary=row.e_summary,
        acknowledged_at=maybe_moment(row.e_acknowledged_ms),
        assignee=row.e_assignee,
        open=True,
    )


__all__ = [
    "Attention", "CaseCounts", "CasePage", "CaseloadFilter", "CaseloadRow", "EpisodeSummary", "caseload",
    "caseload_counts", "person_columns", "row_of",
]  # fmt: skip

"""The order of the caseload in SQL: the keys of the people that come first, for any filter.

People are stored with their rank, and each rank is in the order of an index. So a page is the beginning of a few ranges
of that index, put one after another, and the next page starts where the last row of this one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    Text,
    and_,
    column,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from streams.history.attention import RANKS, Attention, Rank
from streams.history.tables import PEOPLE, unix_ms
from streams.history.writes.bulk import has_trigrams
from workers.sql.connections import is_sqlite

COHORTS = 50
"""Cohorts up to which SQLite, which takes few parts in a query, looks into each."""
FEW = 5_000
"""People that a search finds at most for them to be sorted; with more, the first of a range are soon among them."""
ANYWHERE = 3
"""Characters from which on a search finds any part of a pseudonym; a shorter one finds its beginning."""
LONGEST_SEARCH = 128
"""Characters of a search: no pseudonym has more."""


@dataclass(frozen=True, slots=True)
class CaseloadFilter:
    """Which people are wanted.

    search: part of the pseudonym, its beginning if shorter than ANYWHERE, without regard to case, or exactly all of it
    where rows may be sealed; cohorts: None for all; states: all when empty; since: only people whose attention began
    then or later; stored_names: in place of the search, the `user_id`s that it means in sealed rows and in clear.
    """

    search: str = ""
    cohorts: tuple[str, ...] | None = None
    states: frozenset[Attention] = frozenset()
    since: datetime | None = None
    stored_names: tuple[str, ...] | None = None


class Kind(NamedTuple):
    """What a query depends on of its database. trigrams: PostgreSQL finds any part of a pseudonym by an index."""

    sqlite: bool
    trigrams: bool

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """That of a connection's database."""
        sqlite = is_sqlite(connection)
        return cls(sqlite, not sqlite and has_trigrams(connection))


Cursor = tuple[int, int, str]
"""Rank, beginning and stored name of a row: its place in the order."""

KEY = (PEOPLE.c.rank, PEOPLE.c.since_ms, PEOPLE.c.user_id)
"""What decides the order of people."""


def first(ranges: Sequence[Select[Any]], limit: int) -> Subquery:
    """The keys that come first in any of these ranges."""
    keys = (union_all(*ranges) if len(ranges) > 1 else ranges[0]).subquery()
    return select(keys).order_by(keys.c.rank, keys.c.since_ms.desc(), keys.c.user_id.desc()).limit(limit).subquery()


def ranges(kind: Kind, wanted: CaseloadFilter, after: Cursor | None, limit: int) -> list[Select[Any]]:
    """The ranges of the index that a page may begin with, each with so many keys at most."""
    conditions = (*_since(wanted), *_named(kind, wanted))
    found = []
    for rank in _ranks(wanted, after):
        start = () if after is None or rank > after[0] else (_before(after),)
        people = select(*KEY).where(PEOPLE.c.rank == int(rank), *conditions, *start)
        ordered = people.order_by(PEOPLE.c.since_ms.desc(), PEOPLE.c.user_id.desc()).limit(limit)
        # SQLite sorts and limits the parts of a union only inside a query of its own.
        if wanted.cohorts is None:
            found.append(select(ordered.subquery()))
        elif kind.sqlite and len(wanted.cohorts) > COHORTS:
            found.append(select(ordered.where(PEOPLE.c.cohort.in_(wanted.cohorts)).subquery()))
        elif kind.sqlite:
            found += [select(ordered.where(PEOPLE.c.cohort == cohort).subquery()) for cohort in _distinct(wanted)]
        else:
            names = func.unnest(literal(_distinct(wanted), ARRAY(Text))).table_valued(column("cohort", Text))
            each = names.render_derived()
            own = ordered.where(PEOPLE.c.cohort == each.c.cohort).correlate(each).lateral()
            found.append(select(own).select_from(each.join(own, true())))
    return found


def _distinct(wanted: CaseloadFilter) -> list[str]:
    return list(dict.fromkeys(wanted.cohorts or ()))


def _ranks(wanted: CaseloadFilter, after: Cursor | None) -> list[Rank]:
    states = wanted.states or frozenset(Attention)
    return sorted(rank for state in states for rank in RANKS[state] if after is None or rank >= after[0])


def found_by_search(kind: Kind, wanted: CaseloadFilter, after: Cursor | None) -> CTE:
    """The keys of the people that a filter with a search finds, in any order; at most one more than FEW."""
    conditions = [*_named(kind, wanted), *_since(wanted)]
    conditions.append(PEOPLE.c.rank.in_([int(rank) for rank in _ranks(wanted, after)]))
    if wanted.cohorts is not None:
        conditions.append(PEOPLE.c.cohort.in_(wanted.cohorts))
    if after is not None:
        conditions.append(or_(PEOPLE.c.rank > after[0], and_(PEOPLE.c.rank == after[0], _before(after))))
    found = select(*KEY).where(*conditions).limit(FEW + 1).cte("found")
    return found.prefix_with("MATERIALIZED", dialect="postgresql")


def _before(after: Cursor) -> ColumnElement[bool]:
    return tuple_(PEOPLE.c.since_ms, PEOPLE.c.user_id) < tuple_(literal(after[1]), literal(after[2]))


def _since(wanted: CaseloadFilter) -> tuple[ColumnElement[bool], ...]:
    return () if wanted.since is None else (PEOPLE.c.since_ms >= unix_ms(wanted.since),)


def _named(kind: Kind, wanted: CaseloadFilter) -> tuple[ColumnElement[bool], ...]:
    """People whose pseudonym the search finds; everybody without one."""
    if wanted.stored_names is not None:
        return (PEOPLE.c.user_id.in_(wanted.stored_names),)
    search = wanted.search.strip().casefold()[:LONGEST_SEARCH]
    if "\0" in search:
        return (literal(False),)  # no pseudonym has such a character, and PostgreSQL takes none
    if not search:
        return ()
    if len(search) < ANYWHERE or not (kind.sqlite or kind.trigrams):
        return (PEOPLE.c.folded.startswith(search, autoescape=True),)
    if kind.sqlite:
        return (func.instr(PEOPLE.c.folded, search) > 0,)
    return (PEOPLE.c.folded.contains(search, autoescape=True),)

"""Which cohort a person belongs to: by the beginning of the pseudonym, or by a file that names people.

UNDERTONE_COHORTS holds `name=prefix` pairs; the longest prefix that fits wins, and the empty name is the cohort of
everybody else. What a file names holds before that.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TextIO

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from schemas.errors import ConfigurationError
from streams.history.sealing import enrolled, keys_of, people_of, sealing_of, stored_rows
from streams.history.tables import COHORT_MEMBERS, EPISODES, PEOPLE
from streams.history.writes.bulk import chunks
from streams.history.writes.erasure import note_clear, note_gone

Cohorts = Mapping[str, str]
"""Name of the cohort by prefix."""
OTHERS = ""
"""The cohort of people that no prefix and no file names."""
PAGE = 1000
"""People whose cohort is looked at in one transaction."""


def by_prefix(pairs: Iterable[str]) -> Cohorts:
    """The cohorts of UNDERTONE_COHORTS, `name=prefix` each.

    >>> by_prefix(["North=north-", "Ward 1=north-1"])
    {'north-': 'North', 'north-1': 'Ward 1'}
    """
    halves = (pair.partition("=") for pair in pairs)
    return {prefix.strip(): name.strip() for name, _, prefix in halves}


def cohort_of(user_id: str, cohorts: Cohorts) -> str:
    """The cohort with the longest prefix that the pseudonym begins with; empty for none.

    >>> cohort_of("north-17", {"north": "North", "north-1": "Ward 1"})
    'Ward 1'
    """
    fitting = [prefix for prefix in cohorts if user_id.startswith(prefix)]
    return cohorts[max(fitting, key=len)] if fitting else OTHERS


def cohorts_of(connection: Connection, user_ids: Sequence[str], cohorts: Cohorts) -> dict[str, str]:
    """The cohorts of these people: as a file names them, else by prefix."""
    named: dict[str, str] = {}
    keys = keys_of(connection, user_ids)
    for some in chunks(list(keys)):
        rows = connection.execute(
            select(COHORT_MEMBERS.c.user_id, COHORT_MEMBERS.c.cohort).where(COHORT_MEMBERS.c.user_id.in_(some))
        )
        named.update((keys[name], cohort) for name, cohort in rows)
    return {user_id: named.get(user_id) or cohort_of(user_id, cohorts) for user_id in user_ids}


def names(connection: Connection) -> list[str]:
    """Every cohort that somebody belongs to, in order; the empty name where somebody belongs to none.

    One look at the index for each cohort, however many people there are.
    """
    found: list[str] = []
    first = select(PEOPLE.c.cohort).order_by(PEOPLE.c.cohort).limit(1)
    name = connection.scalar(first)
    while name is not None:
        found.append(name)
        name = connection.scalar(first.where(PEOPLE.c.cohort > name))
    return found


def read_members(file: TextIO) -> Iterator[tuple[str, str]]:
    """Pseudonym and cohort of each line of a CSV file; a first line `user_id,cohort` is skipped.

    Raises ConfigurationError that names the first line which does not have both.
    """
    for number, row in enumerate(csv.reader(file), start=1):
        if not row or (number == 1 and [cell.strip().lower() for cell in row[:2]] == ["user_id", "cohort"]):
            continue
        cells = [cell.strip() for cell in row]
        if len(cells) != 2 or not all(cells) or any("\0" in cell for cell in cells):
            raise ConfigurationError(
                f"line {number} of the file of cohorts is not `pseudonym,cohort`: correct it and load the file again"
            )
        yield cells[0], cells[1]


def replace_members(connection: Connection, members: Iterable[tuple[str, str]]) -> int:
    """Make these the people whose cohort a file names, instead of those before; how many they are. Raises Transient.

    Where rows are sealed, who has no key gets one: the operator says that this is a person to be followed.
    """
    connection.execute(delete(COHORT_MEMBERS))
    sealing = sealing_of(connection)
    if sealing is None or not sealing.on:
        note_clear(connection)
    else:
        note_gone(connection)  # who is in clear from before, and not named any more
    named = dict(members)
    rows = [{"user_id": user_id, "cohort": named[user_id]} for user_id in enrolled(connection, list(named))]
    for some in chunks(stored_rows(connection, COHORT_MEMBERS, rows)):
        connection.execute(insert(COHORT_MEMBERS), some)
    return len(rows)


def reassign(connection: Connection, cohorts: Cohorts, after: str) -> str | None:
    """Give the next people after `after`, by stored name, their cohorts; the last of them, None at the end."""
    page = select(PEOPLE.c.user_id, PEOPLE.c.cohort).where(PEOPLE.c.user_id > after).order_by(PEOPLE.c.user_id)
    rows = connection.execute(page.limit(PAGE)).all()
    if not rows:
        return None
    names = people_of(connection, [row.user_id for row in rows])
    today = cohorts_of(connection, list(names.values()), cohorts)
    moved = [
        {"b_user": row.user_id, "b_cohort": today[names[row.user_id]]}
        for row in rows
        if row.user_id in names and today[names[row.user_id]] != row.cohort
    ]
    if moved:
        for table in (PEOPLE, EPISODES):
            to = update(table).where(table.c.user_id == bindparam("b_user")).values(cohort=bindparam("b_cohort"))
            connection.execute(to, moved)
    return str(rows[-1].user_id)

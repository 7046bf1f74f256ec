"""Whether the key directory is older than it was, as after a restore of an older backup: then it makes no keys.

A person who is missing would get a second subject, and a month a second key, with which nothing of before opens. A
process knows what it has seen itself. What all of them have seen is witnessed outside of the directory
(`streams/roles/directory_witness.py`), and noted here for every process.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from schemas.errors import Transient
from workers.privacy.key_tables import (
    PERSONS,
    WATERMARKS,
    KeyDatabase,
    insert_missing,
    lock,
    set_watermark,
    watermark,
)

BEHIND = "behind"
NEWEST_MONTH = "newest_month"
OLDER = "the key directory was replaced by an older one: restore the newest backup of it"


class Age(NamedTuple):
    """How far a directory is. people: the number of the last one; month: the newest that a key was made for.

    Both only grow, whoever is erased and whatever retention destroys.
    """

    people: int
    month: int

    def is_older(self, seen: "Age") -> bool:
        """Whether it lacks what was seen."""
        return self.people < seen.people or self.month < seen.month

    def newest(self, other: "Age") -> "Age":
        """As far as either."""
        return Age(max(self.people, other.people), max(self.month, other.month))


class AgeCheck:
    """What one process has seen."""

    def __init__(self) -> None:
        self._people = 0

    def check(self, connection: Connection) -> None:
        """Raises Transient for a directory that is known to be older than it was."""
        people = _people(connection)
        if people < self._people or watermark(connection, BEHIND):
            raise Transient(OLDER)
        self._people = people


def note_months(connection: Connection, months: Iterable[int]) -> None:
    """Keys are made for these months."""
    newest = max(months, default=0)
    if newest > watermark(connection, NEWEST_MONTH):
        # Other processes do the same at this moment.
        insert_missing(connection, WATERMARKS, [{"name": NEWEST_MONTH, "value": newest}], ["name"])
        later = (WATERMARKS.c.name == NEWEST_MONTH) & (WATERMARKS.c.value < newest)
        connection.execute(update(WATERMARKS).where(later).values(value=newest))


def age_of(database: KeyDatabase) -> tuple[Age, bool]:
    """How far the directory is, and whether it is noted as older than it was. Blocks; raises Transient."""
    with database.reading() as connection:
        return Age(_people(connection), watermark(connection, NEWEST_MONTH)), bool(watermark(connection, BEHIND))


def note_behind(database: KeyDatabase, behind: bool) -> None:
    """No process makes keys any more, or they do again. Blocks; raises Transient."""
    with database.writing() as connection:
        lock(connection, exclusive=True)
        set_watermark(connection, BEHIND, int(behind))


def _people(connection: Connection) -> int:
    return connection.execute(select(func.max(PERSONS.c.number))).scalar() or 0

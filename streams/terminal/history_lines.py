"""The JSON lines of the commands of the history; `json_lines.py` has all others, and hands these on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class Migrated(TypedDict):
    """What `history migrate` did."""

    migrated: bool
    """Whether the tables were of an older version, or missing."""


class Rebuilt(TypedDict):
    """What `history rebuild` did: numbers of records."""

    records: int
    """Read from the topics and stored."""
    lost: int
    """Stored before, and no longer on the topics."""


class CohortMembers(TypedDict):
    """What `history cohorts` did."""

    people: int
    """People whose cohort the file names."""

"""The JSON lines of `undertone erase`; `json_lines.py` hands them on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class ErasedPerson(TypedDict):
    """A person who was erased."""

    certificate: str
    """File of the certificate."""


class TrialLine(TypedDict):
    """What a reader with every right found in one topic, key, table or file."""

    place: str
    """Kind of storage: Kafka, Redis, SQL or home."""
    row: str
    """Name of the topic, key, table or file."""
    tried: int
    """Values that were read."""
    sealed: int
    """Of those, values of the person that are still there."""
    opened: int
    """Of those, values that open; 0 after an erasure."""
    named: int
    """Values that hold the pseudonym in clear; 0 after an erasure."""
    kept: int
    """Values that hold it where it is kept, such as an audit trail without a key."""

"""The JSON line of `undertone export`; `json_lines.py` hands it on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class ExportedPerson(TypedDict):
    """The archive of a person."""

    file: str
    """The ZIP file."""
    bytes: int
    """Its size."""
    records: dict[str, int]
    """Records in it, by topic."""
    database: bool
    """Whether there is a database of the history, which is then in it as well."""

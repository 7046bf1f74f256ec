"""The JSON line of `undertone consent`; `json_lines.py` hands it on."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class ConsentLine(TypedDict):
    """What a person last said."""

    user_id: str
    """Pseudonym of the person."""
    state: str | None
    """`given`, `paused` or `withdrawn`; null for somebody who never said anything."""
    since: str | None
    """When it was recorded."""
    read: bool
    """Whether memos of the person are read, by UNDERTONE_CONSENT of this process."""

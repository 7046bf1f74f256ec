"""The JSON lines of the commands of the audit trail; `json_lines.py` has all others."""

# Before Python 3.12 pydantic reads the docstrings of fields from this one only.
from typing_extensions import TypedDict


class AuditFinding(TypedDict):
    """One thing that is wrong with the trail."""

    kind: str
    """`changed`, `removed`, `cut`, `swapped`, `invented`, `replayed`, `forked`, or `unsigned` of a head."""
    says: str
    """What is wrong, in one sentence."""
    head: int | None
    """The first head that covers it; null for what no head covers yet."""
    partition: int | None
    """Where on the topic; null for a head."""
    offset: int | None
    """Where in the partition."""
    writer: str | None
    """The chain of the event, where it is known."""
    seq: int | None
    """The number of the event within its chain."""
    audit_id: str | None
    """The id of the event."""


class AuditVerified(TypedDict):
    """What `audit verify` found."""

    events: int
    """Records that were read."""
    writers: int
    """Chains."""
    unchained: int
    """Events of versions before 0.6, which are in no chain."""
    unsigned: int
    """Events that no head covers yet: their end can be cut off unnoticed until one does."""
    heads: int
    """Signed heads."""
    holds: int
    """Number of the last head up to which everything is as it was signed; 0 for none."""
    holds_at: str | None
    """When that head was signed."""
    witnessed: int
    """Number of the last of those heads with a time stamp of a trusted authority; 0 for none."""
    findings: list[AuditFinding]
    """What is wrong, the oldest first."""


class ExportedEvent(TypedDict):
    """An event as it is on the topic."""

    partition: int
    """Where on the topic."""
    offset: int
    """Where in the partition."""
    key: str | None
    """The key of the record, hexadecimal."""
    value: str | None
    """The value of the record, hexadecimal: what the heads are over."""
    event: dict[str, object] | None
    """The event; null where the record is none."""


class ExportedHead(TypedDict):
    """A signed head."""

    anchor: str
    """Which anchor has it."""
    line: str
    """The head, its signature and its time stamp, as the anchor has them."""


class AnchoredHead(TypedDict):
    """What `audit anchor` signed."""

    head: int | None
    """Number of the newest head; null where there was nothing new."""
    events: int | None
    """Records that it covers."""

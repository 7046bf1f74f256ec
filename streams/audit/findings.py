"""What a check of the trail finds, and where."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum


class Kind(StrEnum):
    """What happened to the trail."""

    CHANGED = "changed"
    """An event is not what was written."""
    REMOVED = "removed"
    """An event is missing among others."""
    CUT = "cut"
    """The trail ends, or begins, where it did not."""
    SWAPPED = "swapped"
    """An event is in another place than it was."""
    INVENTED = "invented"
    """An event that no writer of this trail wrote there."""
    REPLAYED = "replayed"
    """An event is there twice."""
    FORKED = "forked"
    """Two events, or two heads, claim the same place."""
    UNSIGNED = "unsigned"
    """A head is missing, or no trusted key signed it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. head: the first that covers it, None for none; partition, offset: None for a head.

    order: by the head that covers it, so that the first finding is the oldest.
    """

    order: tuple[int, ...] = field(repr=False)
    kind: Kind
    says: str
    head: int | None = None
    partition: int | None = None
    offset: int | None = None
    writer: str | None = None
    seq: int | None = None
    audit_id: str | None = None


UNCOVERED = 2**62
"""Place of what no head covers, after all that one does."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is. head: the first that covers it, None for none."""

    head: int | None
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Named:
    """What an event calls itself."""

    writer: str | None = None
    seq: int | None = None
    audit_id: str | None = None


NAMELESS = Named()


def finding(kind: Kind, says: str, at: Place, event: Named = NAMELESS, *, rank: int = 0) -> Finding:
    """A finding about a record, or the place of one.

    rank: 1 for what follows from a chain, after what a record shows by itself.
    """
    order = (UNCOVERED if at.head is None else at.head, rank, at.partition, at.offset)
    of = (event.writer, event.seq, event.audit_id)
    return Finding(order, kind, says, at.head, at.partition, at.offset, *of)


def head_finding(kind: Kind, says: str, head: int) -> Finding:
    """A finding about a head."""
    return Finding((head, -1), kind, says, head)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between what was signed and what is there. at: index among the actual marks, which it precedes."""

    kind: Kind
    at: int
    count: int = 1


def differences(expected: Sequence[bytes], actual: Sequence[bytes], signed: int) -> Iterator[Difference]:
    """What became of the signed marks, in the order of the actual ones.

    signed: how many of the actual ones are where signed records are; those after them have yet to be signed.

    >>> [each.kind.value for each in differences([b"a", b"b", b"c"], [b"a", b"c", b"b", b"new"], 3)]
    ['swapped']
    """
    begin = next((place for place, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), 0)
    old, new = expected[begin:], actual[begin:]
    edits = [edit for edit in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if edit[0] != "equal"]
    moved = {mark for _, first, last, _, _ in edits for mark in old[first:last]}
    moved &= {mark for _, _, _, first, last in edits for mark in new[first:last]}
    known = set(expected)
    for _, first, last, place, end in edits:
        missing = sum(mark not in moved for mark in old[first:last])
        for at in range(place, end):
            kind = _kind(new[at], moved, known, missing)
            if kind in (Kind.SWAPPED, Kind.REPLAYED) or begin + at < signed or last < len(old):
                missing -= kind is Kind.CHANGED
                yield Difference(kind, begin + at)
        if missing > 0:
            cut = last == len(old) and end == len(new)
            yield Difference(Kind.CUT if cut else Kind.REMOVED, begin + end, missing)


def _kind(mark: bytes, moved: Set[bytes], known: Set[bytes], missing: int) -> Kind:
    """What a record is that was not signed at its place. missing: signed ones that are not there in its stead."""
    if mark in moved:
        return Kind.SWAPPED
    if mark in known:
        return Kind.REPLAYED
    return Kind.CHANGED if missing else Kind.INVENTED

"""One partition of the topic against the heads: whether it is what was signed, and where it is not."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from streams.audit.findings import UNCOVERED, Difference, Finding, Kind, Place, differences, finding
from streams.audit.heads import MARK_BYTES, START, PartitionHead, advanced

_SAYS = {
    Kind.CHANGED: "the record is not the one that was signed",
    Kind.REMOVED: "{n} signed record(s) before this offset are missing",
    Kind.CUT: "{n} signed record(s) from this offset on are missing",
    Kind.SWAPPED: "the record is in another place than when it was signed",
    Kind.INVENTED: "the record was not there when this part was signed",
    Kind.REPLAYED: "the record is there more often than when this part was signed",
}


@dataclass(frozen=True, slots=True)
class Cover:
    """What one head says of one partition. number, at_ms: of the head."""

    number: int
    at_ms: int
    part: PartitionHead


@dataclass(slots=True)
class PartitionCheck:
    """The check of one partition. begins: its first offset that the broker still has; covers: in their order.

    oldest_ms: heads since then cover no record that retention removes. Digests show whether something changed, marks
    what it was: all of the partition are compared at once, so records that moved are recognised.
    """

    number: int
    begins: int
    covers: Sequence[Cover]
    oldest_ms: int
    findings: list[Finding] = field(default_factory=list)
    _at: int = 0
    _digest: bytes | None = START
    _worst: int = UNCOVERED
    _unsure: bool = False
    _offsets: list[int] = field(default_factory=list)
    _marks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Pass the heads whose records have expired."""
        while self._at < len(self.covers) and self._next() <= self.begins:
            self._expired(self.covers[self._at])
            self._digest = self.covers[self._at].part.digest
            self._at += 1
        if self._at < len(self.covers) and self.covers[self._at].part.first < self.begins:
            self._expired(self.covers[self._at])
            self._digest, self._unsure = None, True

    def take(self, offset: int, content: bytes) -> int | None:
        """The next record; the number of the first head that covers it. content: as `heads.mark_of`."""
        while self._at < len(self.covers) and offset >= self._next():
            self._close()
        self._offsets.append(offset)
        self._marks.append(content[:MARK_BYTES])
        if self._at == len(self.covers):
            return None
        if self._digest is not None:
            self._digest = advanced(self._digest, offset, content)
        return self.covers[self._at].number

    def end(self) -> None:
        """There are no more records."""
        while self._at < len(self.covers):
            self._close()
        if self._worst == UNCOVERED and not self._unsure:
            return
        end = self.covers[-1].part.next
        found = list(differences(self._expected(), self._marks, bisect_left(self._offsets, end)))
        for each in found:
            self._add(each)
        if not found and self._worst != UNCOVERED:
            place = next(cover.part.first for cover in self.covers if cover.number == self._worst)
            says = "the records up to this head are not those that were signed"
            self.findings.append(finding(Kind.CHANGED, says, Place(self._worst, self.number, place)))

    def _next(self) -> int:
        return self.covers[self._at].part.next

    def _close(self) -> None:
        """All records that a head covers were taken."""
        cover = self.covers[self._at]
        if self._digest is not None and self._digest != cover.part.digest:
            self._worst = min(self._worst, cover.number)
        self._at += 1
        self._digest = cover.part.digest if self._digest is None else self._digest

    def _expired(self, cover: Cover) -> None:
        if cover.at_ms > self.oldest_ms:
            says = f"records before offset {self.begins} are missing, and retention does not explain it"
            self.findings.append(finding(Kind.CUT, says, Place(cover.number, self.number, self.begins)))

    def _expected(self) -> list[bytes]:
        """The marks of the signed records that have not expired."""
        return [mark for cover in self.covers for mark in self._unexpired(cover.part)]

    def _unexpired(self, part: PartitionHead) -> Iterator[bytes]:
        for place, mark in enumerate(part.marks, part.first):
            if place >= self.begins:
                yield mark

    def _add(self, each: Difference) -> None:
        there = each.at < len(self._offsets)
        offset = self._offsets[each.at] if there else self._offsets[-1] + 1 if self._offsets else self.begins
        at = Place(self.head_of(offset), self.number, offset)
        self.findings.append(finding(each.kind, _SAYS[each.kind].format(n=each.count), at))

    def head_of(self, offset: int) -> int | None:
        """The first head that covers an offset."""
        place = bisect_right([cover.part.next for cover in self.covers], offset)
        return self.covers[place].number if place < len(self.covers) else None

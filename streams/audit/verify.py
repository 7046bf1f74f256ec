"""Whether the trail is what was written: its records against signed heads, and its events against their chains.

Heads show any change of the records that they cover. Chains show changes of what is newer, except an end that was cut
off, and an event that was invented where its writers have no key of the trail. What expired by retention is missing
rightly: heads that are older than it may cover records that are gone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from itertools import pairwise

from schemas.audit_chain import event_hash, event_mac
from schemas.audit_keys import KEYLESS_STARTS, AuditKeys
from schemas.codec import Codec, DecodeError
from schemas.event_enums import AuditAction
from schemas.events import AuditEvent
from streams.audit.findings import UNCOVERED, Finding, Kind, Named, Place, finding
from streams.audit.heads import SignedHead, mark_of
from streams.audit.partition import Cover, PartitionCheck

GRACE = timedelta(days=1)
"""Between the record of an event and the head that covers it, at most: a head may expire so much before its records."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One record of the topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Link:
    """What a chain needs of an event. intact: whether nothing is wrong with the event by itself."""

    seq: int
    prev: str | None
    hash: str | None
    intact: bool
    at: Place
    named: Named

    def found(self, kind: Kind, says: str) -> Finding:
        """A finding about this event."""
        return finding(kind, says, self.at, self.named, rank=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found, the oldest first.

    events: that were read; writers: chains; unchained: events of before 0.6; unsigned: events that no head covers yet;
    heads: how many; holds: number of the last head up to which everything is as it was signed, 0 for none.
    """

    findings: Sequence[Finding]
    events: int
    writers: int
    unchained: int
    unsigned: int
    heads: int
    holds: int


class Verification:
    """One check. begins: first offset of each partition; heads: signed and linked, in their order.

    `take` every record, each partition in the order of its offsets; then `verdict`.
    oldest_ms: the time, in milliseconds since 1970, before which retention removes records; keys: of the trail.
    """

    def __init__(
        self, codec: Codec, begins: Mapping[int, int], heads: Sequence[SignedHead], keys: AuditKeys, oldest_ms: int
    ) -> None:
        self._codec, self._keys, self._heads = codec, keys, heads
        grace_ms = round(GRACE.total_seconds() * 1000)
        covers: dict[int, list[Cover]] = {number: [] for number in begins}
        for head in (signed.head for signed in heads):
            for number, part in head.partitions.items():
                covers.setdefault(number, []).append(Cover(head.number, head.at_ms, part))
        self._partitions = {
            number: PartitionCheck(number, begins.get(number, 0), found, oldest_ms + grace_ms)
            for number, found in covers.items()
        }
        self._expired = any(begins.values())
        self._links: dict[str, list[Link]] = defaultdict(list)
        self._findings: list[Finding] = []
        self._events = self._unchained = self._unsigned = 0
        self._chained: set[int] = set()

    def take(self, record: Stored) -> None:
        """One record of the topic."""
        content = mark_of(record.key, record.value)
        head = self._partitions[record.partition].take(record.offset, content)
        self._events += 1
        self._unsigned += head is None
        at = Place(head, record.partition, record.offset)
        try:
            event = self._codec.decode(record.value, AuditEvent)
        except DecodeError:
            self._findings.append(finding(Kind.INVENTED, "the record is no audit event", at))
            return
        named = Named(event.writer, event.seq, event.audit_id)
        if event.writer is None:
            self._unchained += 1
            if head is None and (self._heads or record.partition in self._chained):
                says = "the event is in no chain, among events that are"
                self._findings.append(finding(Kind.INVENTED, says, at, named))
            return
        self._chained.add(record.partition)
        if fault := self._fault(event, record.key, signed=head is not None):
            self._findings.append(finding(*fault, at, named))
        self._links[event.writer].append(Link(event.seq, event.prev, event.hash, fault is None, at, named))

    def verdict(self, of_heads: Sequence[Finding] = ()) -> Verdict:
        """What was found, with what is wrong with the heads themselves."""
        found = [*of_heads, *self._findings]
        for partition in self._partitions.values():
            partition.end()
            found += partition.findings
        for links in self._links.values():
            found += self._chain(links)
        numbers = [signed.head.number for signed in self._heads]
        worst = min((each.head for each in found if each.head is not None), default=UNCOVERED)
        holds = max((number for number in numbers if number < worst), default=0)
        return Verdict(
            sorted(set(found), key=lambda each: each.order),
            self._events,
            len(self._links),
            self._unchained,
            self._unsigned,
            len(numbers),
            holds,
        )

    def _fault(self, event: AuditEvent, key: bytes | None, *, signed: bool) -> tuple[Kind, str] | None:
        """What is wrong with one event by itself."""
        if event_hash(event) != event.hash:
            return Kind.CHANGED, "the event does not have the hash that it names"
        if key != event.actor.encode():
            return Kind.CHANGED, "the key of the record is not the actor of its event"
        if signed or self._keys.events is None or _is_keyless(event):
            return None
        mac = event_mac(event.hash or "", self._keys.events)
        if not compare_digest(mac, event.mac or ""):
            return Kind.INVENTED, "the event does not have the code of a writer of this trail"
        return None

    def _chain(self, links: list[Link]) -> list[Finding]:
        """What is wrong with one writer's events together."""
        links.sort(key=lambda link: (link.seq, link.at.partition, link.at.offset))
        found: list[Finding] = []
        first = links[0]
        if first.seq > 1 and not self._may_begin_later(first):
            says = f"events 1 to {first.seq - 1} of this writer are missing"
            found.append(first.found(Kind.REMOVED, says))
        if first.seq == 1 and first.prev is not None:
            found.append(first.found(Kind.FORKED, "a first event that names one before it"))
        for one, other in pairwise(links):
            if fault := self._pair(one, other):
                found.append(other.found(*fault))
        last: dict[int, Link] = {}
        for link in links:
            before = last.get(link.at.partition)
            if before is not None and before.seq < link.seq and before.at.offset > link.at.offset:
                found.append(link.found(Kind.SWAPPED, "the event is before one that its writer wrote earlier"))
            last[link.at.partition] = link
        return found

    def _may_begin_later(self, link: Link) -> bool:
        """Whether the events before may have expired: what a head covers is missing nowhere else, or it is found."""
        return self._expired and (link.at.head is not None or not self._heads)

    def _pair(self, one: Link, other: Link) -> tuple[Kind, str] | None:
        """What is wrong between two events of a writer, neighbours by their numbers."""
        if one.seq == other.seq:
            if one.hash == other.hash:
                return Kind.REPLAYED, "the event is there twice"
            return Kind.FORKED, "another event of this writer has the same number"
        if other.seq > one.seq + 1:
            if self._may_begin_later(other):
                return None
            return Kind.REMOVED, f"events {one.seq + 1} to {other.seq - 1} of this writer are missing"
        if other.prev != one.hash and one.intact and other.intact:
            return Kind.FORKED, "the event follows another one than the one that is there"
        return None


def _is_keyless(event: AuditEvent) -> bool:
    """Whether the writer of this event has no key, and it says nothing but that a role started."""
    starts = event.action is AuditAction.CONFIGURED and event.resource.startswith(KEYLESS_STARTS)
    return starts and event.mac is None and not event.user_ids

"""The next head, of the last one and of what the topic has since; and the heads of several anchors as one chain."""

from collections.abc import Iterable, Mapping, Sequence

from streams.audit.findings import Finding, Kind, head_finding
from streams.audit.heads import MARK_BYTES, START, Head, PartitionHead, SignedHead, advanced
from streams.audit.signing import Signer, Trusted


def next_head(
    last: SignedHead | None, since: Mapping[int, Sequence[tuple[int, bytes]]], signer: Signer, at_ms: int
) -> SignedHead | None:
    """The head that also covers these records, None where there are none.

    since: offset and content (`heads.mark_of`) of each record after `last`, by partition, in their order.
    """
    before = {} if last is None else dict(last.head.partitions)
    records = sum(map(len, since.values()))
    if not records:
        return None
    known = {*before, *(number for number, new in since.items() if new)}
    parts = {number: _continued(before.get(number), since.get(number, ())) for number in known}
    number, events, previous = (1, 0, None) if last is None else (last.head.number + 1, last.head.events, last.digest)
    head = Head(number, at_ms, previous, events + records, dict(sorted(parts.items())), signer.key)
    data = head.signed_bytes()
    return SignedHead(data, signer.private.sign(data))


def _continued(before: PartitionHead | None, records: Sequence[tuple[int, bytes]]) -> PartitionHead:
    first, digest = (records[0][0], START) if before is None else (before.next, before.digest)
    for offset, content in records:
        digest = advanced(digest, offset, content)
    end = records[-1][0] + 1 if records else first
    return PartitionHead(first, end, digest, tuple(content[:MARK_BYTES] for _, content in records))


def joined(anchored: Mapping[str, Iterable[bytes]], trusted: Trusted) -> tuple[list[SignedHead], list[Finding]]:
    """The heads that trusted keys signed, as one chain, and what is wrong with them.

    anchored: the lines of each anchor by its name, the first one having every head; later ones may be some behind.
    """
    found: list[Finding] = []
    chain: dict[int, SignedHead] = {}
    ends: dict[str, int] = {}
    for name, lines in anchored.items():
        ends[name] = last = 0
        for line in lines:
            head = _checked(name, last + 1, line, trusted, found)
            if head is None:
                last += 1
                continue
            number = head.head.number
            if number <= last:
                found.append(head_finding(Kind.FORKED, f"{name} has head {number} after head {last}", number))
                continue
            if number > last + 1:
                says = f"{name} lacks heads {last + 1} to {number - 1}"
                found.append(head_finding(Kind.REMOVED, says, last + 1))
            ends[name] = last = number
            other = chain.setdefault(number, head)
            if other.data != head.data:
                found.append(
                    head_finding(Kind.FORKED, f"{name} has another head {number} than an anchor before", number)
                )
    newest = max(chain, default=0)
    first = next(iter(anchored), None)
    if first is not None and ends[first] < newest:
        says = f"{first} ends with head {ends[first]}, and another anchor has head {newest}"
        found.append(head_finding(Kind.CUT, says, ends[first] + 1))
    heads = [chain[number] for number in sorted(chain)]
    return heads, found + _unlinked(heads)


def _checked(name: str, place: int, line: bytes, trusted: Trusted, found: list[Finding]) -> SignedHead | None:
    """The head in a line, None where it is none that a trusted key signed."""
    try:
        head = SignedHead.of_line(line)
    except ValueError:
        found.append(head_finding(Kind.CHANGED, f"{name}: head {place} cannot be read", place))
        return None
    if not trusted.signed(head.head.key, head.data, head.signature):
        says = f"{name}: no trusted key signed head {head.head.number}"
        found.append(head_finding(Kind.UNSIGNED, says, min(place, head.head.number)))
        return None
    return head


def _unlinked(heads: Sequence[SignedHead]) -> list[Finding]:
    """Heads that name another one before them than the one that is there."""
    found: list[Finding] = []
    before: SignedHead | None = None
    for each in heads:
        number = each.head.number
        follows = number == (1 if before is None else before.head.number + 1)
        if follows and each.head.previous != (None if before is None else before.digest):
            found.append(head_finding(Kind.FORKED, f"head {number} follows another head {number - 1}", number))
        before = each
    return found

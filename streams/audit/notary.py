"""Signs a head over what the topic has, and puts it to the anchors."""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

from schemas.errors import ConfigurationError, Stop, Transient, UndertoneError
from schemas.settings import Settings
from streams.audit.anchors import Anchor, make_anchors
from streams.audit.heads import SignedHead, mark_of
from streams.audit.reading import Extent, read_trail
from streams.audit.sign_heads import next_head
from streams.audit.signing import Signer
from streams.audit.timestamps import stamped
from streams.audit.verify import Stored
from workers.service import prometheus

log = logging.getLogger(__name__)

HEAD_RECORDS = 10_000
"""Most records that one head adds."""
Since = Mapping[int, Sequence[tuple[int, bytes]]]


class TrailCut(Stop):
    """The topic lacks records that the last head covers. Nothing is signed over that."""


def check_notary(settings: Settings) -> bool:
    """Whether the settings ask for heads. Raises ConfigurationError for ones that do not go together."""
    if (settings.audit_signing_key is None) != (not settings.audit_anchors):
        raise ConfigurationError("UNDERTONE_AUDIT_SIGNING_KEY and UNDERTONE_AUDIT_ANCHORS go together")
    if settings.audit_signing_key is None:
        return False
    Signer.load(settings.audit_signing_key)
    make_anchors(settings)
    return True


async def sign_heads(settings: Settings) -> SignedHead | None:
    """Sign what came since the last head; the newest head, None where there was nothing new.

    Of two signers at the same time one signs, and the other gets None. Raises Transient, BrokerRefused, TrailCut and
    ConfigurationError.
    """
    if settings.audit_signing_key is None or not settings.audit_anchors:
        raise ConfigurationError("set UNDERTONE_AUDIT_SIGNING_KEY and UNDERTONE_AUDIT_ANCHORS to sign heads")
    signer, (first, *others) = Signer.load(settings.audit_signing_key), make_anchors(settings)
    line = await asyncio.to_thread(first.last)
    last = None if line is None else _parsed(line)
    since: dict[int, list[tuple[int, bytes]]] = {}

    def take(record: Stored) -> None:
        since.setdefault(record.partition, []).append((record.offset, mark_of(record.key, record.value)))

    await read_trail(settings, lambda extent: _begin(last, extent), take)
    newest = None
    for part in _parts(since):
        made = next_head(last, part, signer, time.time_ns() // 1_000_000)
        head = None if made is None else await _witnessed(settings, made)
        if head is None or not await asyncio.to_thread(first.put, head.head.number, head.line()):
            break
        newest = last = head
    for other in others:
        await asyncio.to_thread(_catch_up, first, other)
    return newest


async def keep_signing(settings: Settings) -> None:
    """Sign heads every UNDERTONE_AUDIT_HEAD_S, until cancelled. What hinders it is logged, and ends nothing."""
    prometheus.AUDIT_COVERED_TIMESTAMP.set_to_current_time()  # how long it has been hindered counts from here
    while True:
        try:
            head = await sign_heads(settings)
            prometheus.AUDIT_COVERED_TIMESTAMP.set_to_current_time()
            if head is not None:
                prometheus.AUDIT_HEAD_TIMESTAMP.set(head.head.at_ms / 1000)
        except UndertoneError as error:
            log.error("no head of the audit trail was signed: %s", error)  # noqa: TRY400  # its message says it all
        except Exception:
            log.exception("no head of the audit trail was signed")
        await asyncio.sleep(settings.audit_head_s)


def _begin(last: SignedHead | None, extent: Extent) -> Mapping[int, int]:
    """From where the next head goes on. Raises TrailCut where the topic lacks what is before, or comes next."""
    if last is None:
        return extent.begins
    for number, part in last.head.partitions.items():
        if not extent.begins.get(number, 0) <= part.next <= extent.ends.get(number, 0):
            raise TrailCut(
                f"partition {number} of audit.events lacks records at offset {part.next}, where head "
                f"{last.head.number} ends: nothing more is signed; see `undertone audit verify`"
            )
    return {number: part.next for number, part in last.head.partitions.items()}


def _parts(since: Since) -> Iterator[Since]:
    """The records in parts of at most HEAD_RECORDS."""
    left = {number: list(records) for number, records in since.items()}
    while any(left.values()):
        part: dict[int, list[tuple[int, bytes]]] = {}
        room = HEAD_RECORDS
        for number, records in left.items():
            part[number], left[number] = records[:room], records[room:]
            room -= len(part[number])
        yield part


async def _witnessed(settings: Settings, head: SignedHead) -> SignedHead:
    if settings.audit_timestamps_url is None:
        return head
    try:
        stamp = await asyncio.to_thread(stamped, settings.audit_timestamps_url, head.data)
    except Transient as error:
        log.warning("a head of the audit trail has no time stamp: %s", error)
        return head
    return SignedHead(head.data, head.signature, stamp)


def _catch_up(first: Anchor, other: Anchor) -> None:
    """Put to an anchor what it lacks of the first one's heads."""
    newest = other.last()
    known = 0 if newest is None else _parsed(newest).head.number
    for line in first.lines():
        head = _parsed(line)
        if head.head.number > known:
            other.put(head.head.number, line)


def _parsed(line: bytes) -> SignedHead:
    try:
        return SignedHead.of_line(line)
    except ValueError as error:
        raise Stop("UNDERTONE_AUDIT_ANCHORS: a head cannot be read; see `undertone audit verify`") from error

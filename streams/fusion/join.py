"""Joining the parts of a memo: which have come, whether they are all, and what was made of them.

Pure: bytes in, bytes out, time as an argument. The state of one join is one value in the store, under `JOIN`.

    open ──all parts──▶ open and complete ──its score was delivered──▶ settled
      ├──too long open──▶ closed ──its indeterminate score was delivered──▶ settled
      └──a stage made a dead letter of the memo──▶ dead

Everything may happen twice: a part that comes again replaces itself, and a settled join answers with nothing to do.
A memo that was redriven comes as a later attempt: it opens its join again if that is dead or was closed, never if the
memo has a score.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgpack

from schemas.events import Band, MemoFeatures, MemoUploaded, Modality, RiskScored
from schemas.ids import score_id
from schemas.state_keys import JOIN

LISTS = 0x90
"""First byte, at the least, of joins of versions 1 and 2: a list of MessagePack, whose first item is the version."""


@dataclass(frozen=True, slots=True)
class Join:
    """What is known of one memo.

    parts: encoded `MemoFeatures` by modality; closed_at: when it was given up as incomplete; dead: whether a dead
    letter stands for this memo; attempt: how often the memo had been redriven when that was decided; trace:
    `traceparent` of the first part that came, for a score that no part causes.
    """

    memo_id: str
    user_id: str
    recorded_at: datetime
    uploaded_at: datetime
    parts: Mapping[Modality, bytes] = field(default_factory=dict)
    closed_at: datetime | None = None
    settled: bool = False
    dead: bool = False
    attempt: int = 0
    trace: bytes = b""

    @property
    def decided(self) -> bool:
        """Whether this attempt has come to its end, so that nothing of it is to be done any more."""
        return self.settled or self.dead or self.closed_at is not None

    @property
    def scored(self) -> bool:
        """Whether the score of all parts has been delivered; nothing opens this join again."""
        return self.settled and self.closed_at is None

    def missing(self, needed: Collection[Modality]) -> tuple[Modality, ...]:
        """Modalities that have not come, in the order of `needed`."""
        return tuple(m for m in needed if m not in self.parts)

    def to_bytes(self) -> bytes:
        """The join as one value of the store. A settled join keeps no parts."""
        parts = {} if self.settled else {str(m): part for m, part in self.parts.items()}
        trace = b"" if self.settled else self.trace
        times = [t and _to_millis(t) for t in (self.recorded_at, self.uploaded_at, self.closed_at)]
        flags = [self.settled, self.dead, self.attempt, trace]
        return JOIN.framed(msgpack.packb([self.memo_id, self.user_id, *times, parts, *flags]))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Join":
        """The inverse of `to_bytes`. Raises ValueError when the bytes are of another version or no join."""
        memo_id, user_id, recorded, uploaded, closed, parts, *flags = _fields(data)
        return cls(
            memo_id,
            user_id,
            _from_millis(recorded),
            _from_millis(uploaded),
            {Modality(m): p for m, p in parts.items()},
            None if closed is None else _from_millis(closed),
            *flags,
        )


def _fields(data: bytes) -> list[Any]:
    """What a stored join holds, of whichever version."""
    if data[:1] < bytes((LISTS,)):
        fields: list[Any] = msgpack.unpackb(JOIN.opened(data)[1])
        return fields
    version, *fields = msgpack.unpackb(data)
    if version not in JOIN.versions:
        raise ValueError(f"a join of version {version}, this program reads {JOIN.versions}")
    return fields


def _to_millis(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def add_parts(
    state: bytes | None, parts: Collection[tuple[MemoFeatures, bytes]], attempt: int = 0, trace: bytes = b""
) -> Join:
    """The join with the parts added.

    parts: decoded and encoded, all of one memo; attempt: how often it was redriven; trace: `traceparent` of one part.

    A join that is decided takes no more parts of the same or an earlier attempt. A later attempt opens it again, with
    the parts that it still has, unless it was scored.
    """
    if state is not None:
        join = Join.from_bytes(state)
    else:
        first = next(iter(parts))[0]
        join = Join(first.memo_id, first.user_id, first.recorded_at, first.uploaded_at, trace=trace)
    if attempt > join.attempt and not join.scored:
        join = replace(join, attempt=attempt, settled=False, dead=False, closed_at=None)
    if join.decided:
        return join
    return replace(join, parts={**join.parts, **{features.modality: encoded for features, encoded in parts}})


def die(state: bytes | None, memo: MemoUploaded, attempt: int) -> Join | None:
    """The join of a memo that became a dead letter; None when that changes nothing: decided, or tried again since.

    It keeps its parts, for a redrive may bring only what is missing.
    """
    join = Join(memo.memo_id, memo.user_id, memo.recorded_at, memo.uploaded_at)
    if state is not None:
        join = Join.from_bytes(state)
    return None if join.decided or attempt < join.attempt else replace(join, dead=True, attempt=attempt)


def bury(state: bytes) -> Join | None:
    """The join whose parts can never be scored, once its dead letter was delivered; None when it is decided."""
    join = Join.from_bytes(state)
    return None if join.decided else replace(join, dead=True)


def close(state: bytes | None, needed: Collection[Modality], now: datetime) -> Join | None:
    """The join, given up; None when it needs no closing: gone, complete, settled, or dead.

    Closing twice keeps the first time.
    """
    if state is None:
        return None
    join = Join.from_bytes(state)
    if join.settled or join.dead or not join.missing(needed):
        return None
    return join if join.closed_at else replace(join, closed_at=now)


def settle(state: bytes | None) -> Join | None:
    """The join, its score delivered; None when it is gone."""
    return None if state is None else replace(Join.from_bytes(state), settled=True)


def incomplete(join: Join, needed: Collection[Modality], bundle_id: str) -> RiskScored:
    """The score of a closed join: indeterminate, naming what is missing. Raises ValueError when it is not closed."""
    if join.closed_at is None:
        raise ValueError("the join is still open")
    return RiskScored(
        score_id=score_id(join.memo_id, bundle_id),
        memo_id=join.memo_id,
        user_id=join.user_id,
        recorded_at=join.recorded_at,
        uploaded_at=join.uploaded_at,
        scored_at=join.closed_at,
        probability=None,
        band=Band.INDETERMINATE,
        reasons=tuple(f"missing:{modality}" for modality in join.missing(needed)),
        evidence=(),
        modalities=tuple(m for m in needed if m in join.parts),
        bundle_id=bundle_id,
    )

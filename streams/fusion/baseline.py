"""One user's own feature baseline, and the scores of their last memos, as one value of the store. Pure.

    state = load(bytes or None, bundle.id, len(bundle.names))
    if has_seen(state, memo_id): send stored_score(state, memo_id), if it still has one
    else: score against state.normal, then state = scored(state, memo_id, score, vector, frozen=alert is open)

A memo is scored before it enters the baseline, and enters it once: a redelivered memo changes nothing and gets exactly
the bytes of its first score. State of another bundle is ignored: its users restart without an error.
"""

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import msgpack
import numpy as np

from schemas.events import FloatArray
from schemas.state_keys import BASELINE
from workers.scoring.personal_baseline import MEMORY, PersonalNormal, updated

PACKED, COMPRESSED = b"\x02", b"\x01"
"""First byte of a stored state: its encoding."""
LARGE = 2048
"""Bytes above which compression pays: smaller states are mostly floats and digests, which do not shrink."""
FARTHEST = 1e12
"""Beyond any feature of a voice; squares stay within single precision."""
LARGEST = 1 << 20
"""Maximum bytes of a decompressed state: thousands of features and a full outbox."""
SEEN = 64
"""Last memos recognised as duplicates; older ones are settled joins."""
OUTBOX = 16
"""Scores stored for resending. No more memos of one user may be in flight between two calls of `delivered`."""


@dataclass(frozen=True, slots=True)
class BaselineState:
    """The stored state of one user.

    seen: digests of memo ids, oldest first; outbox: encoded scores by memo id, oldest first.
    """

    bundle_id: str
    normal: PersonalNormal
    seen: tuple[bytes, ...] = ()
    outbox: Mapping[str, bytes] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The state as one value of the store: about 1 KB, up to 4 KB with a full outbox."""
        normal = self.normal
        arrays = [normal.count.astype("<u2"), normal.mean.astype("<f4"), normal.variance.astype("<f4")]
        packed: bytes = msgpack.packb(
            [self.bundle_id, *(a.tobytes() for a in arrays), b"".join(self.seen), [*self.outbox.items()]]
        )
        return PACKED + packed if len(packed) < LARGE else COMPRESSED + zlib.compress(packed, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "BaselineState":
        """The inverse of `to_bytes`. Raises UnreadableState for another version or bytes that are not a state."""
        with BASELINE.decoding():
            bundle_id, count, mean, variance, seen, outbox = _unpacked(data)
            normal = PersonalNormal(
                np.frombuffer(count, "<u2").astype(np.float32),
                np.frombuffer(mean, "<f4").astype(np.float32),
                np.frombuffer(variance, "<f4").astype(np.float32),
            )
            digests = tuple(seen[i : i + 8] for i in range(0, len(seen), 8))
            state = cls(bundle_id, normal, digests, dict(outbox))
            if not _is_sound(state):
                raise ValueError("impossible fields")
            return state


def load(data: bytes | None, bundle_id: str, features: int) -> BaselineState:
    """The state in `data`; an empty one when `data` is None or belongs to another bundle.

    Raises UnreadableState.
    """
    if data is not None:
        state = BaselineState.from_bytes(data)
        if state.bundle_id == bundle_id and state.normal.count.shape == (features,):
            return state
    return BaselineState(bundle_id, PersonalNormal.empty(features))


def has_seen(state: BaselineState, memo_id: str) -> bool:
    """Whether this memo has been scored before, as far back as SEEN memos."""
    return _digest(memo_id) in state.seen


def stored_score(state: BaselineState, memo_id: str) -> bytes | None:
    """The encoded score of a memo seen before; None once it was delivered or dropped from the outbox."""
    return state.outbox.get(memo_id)


def scored(
    state: BaselineState, memo_id: str, score: bytes, vector: FloatArray | None, *, frozen: bool = False
) -> BaselineState:
    """The state after a memo was scored; a memo seen before changes nothing.

    score: the encoded RiskScored; vector: the memo's features by the bundle's names, None when the memo cannot be
    trusted; frozen: an alert is open, so the memo must not change the baseline that it is compared with.
    """
    if has_seen(state, memo_id):
        return state
    normal = state.normal if frozen or vector is None else updated(state.normal, vector)
    outbox = [*state.outbox.items(), (memo_id, score)][-OUTBOX:]
    return replace(state, normal=normal, seen=(*state.seen, _digest(memo_id))[-SEEN:], outbox=dict(outbox))


def delivered(state: BaselineState, memo_ids: Collection[str]) -> BaselineState:
    """The state without the scores of these memos, after they were delivered."""
    return replace(state, outbox={memo: score for memo, score in state.outbox.items() if memo not in memo_ids})


def _digest(memo_id: str) -> bytes:
    return blake2b(memo_id.encode(), digest_size=8).digest()


def _unpacked(data: bytes) -> list[Any]:
    _, body = BASELINE.opened(data)
    if data[:1] == COMPRESSED:
        inflated = zlib.decompressobj()
        body = inflated.decompress(body, LARGEST)
        if inflated.unconsumed_tail or not inflated.eof:
            raise ValueError("cut off, or larger than any baseline")
    unpacked: list[Any] = msgpack.unpackb(body)
    return unpacked


def _is_sound(state: BaselineState) -> bool:
    """Whether the fields are of their types and sizes, and the numbers possible."""
    normal = state.normal
    texts = [state.bundle_id, *state.outbox]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(each, bytes) for each in (*state.seen, *state.outbox.values()))
        and normal.count.shape == normal.mean.shape == normal.variance.shape
        and bool((normal.count <= MEMORY).all() and (np.abs(normal.mean) <= FARTHEST).all())
        and bool(((normal.variance >= 0) & (normal.variance <= FARTHEST**2)).all())
    )

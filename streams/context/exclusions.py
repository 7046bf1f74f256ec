"""Times at which a user's memos are left out of their normal, as the agents read them. Pure.

Memos recorded within such a time are scored and followed, but neither the baseline of features nor the drift detector
learns from them, and they raise nothing. What the agents have learnt before somebody marked it stays learnt.
"""

from collections.abc import Mapping
from datetime import datetime
from math import inf
from typing import NamedTuple, TypeAlias

import msgpack

from schemas.state_keys import EXCLUSIONS

MOST = 64
"""Marks of one user that are kept, the newest ones."""
_LATEST_S = 1e12


class Exclusion(NamedTuple):
    """One mark. Times in Unix seconds; said_s: when the mark was made or last changed.

    A mark that was taken back, or leaves nothing out any more, has no length: it stays, so that an older action about
    it changes nothing when it is redelivered.
    """

    said_s: float
    since_s: float
    until_s: float

    def covers(self, recorded_s: float) -> bool:
        """Whether a memo recorded then is left out; the end itself is not."""
        return self.since_s <= recorded_s < self.until_s


Exclusions: TypeAlias = Mapping[str, Exclusion]
"""By the id of the mark."""


def load(data: bytes | None) -> Exclusions:
    """The exclusions in stored bytes. Raises UnreadableState."""
    if data is None:
        return {}
    with EXCLUSIONS.decoding():
        _, body = EXCLUSIONS.opened(data)
        found = {}
        for mark_id, *times in msgpack.unpackb(body):
            said_s, since_s, until_s = (inf if time is None else float(time) for time in times)
            if not isinstance(mark_id, str) or not 0.0 <= said_s + since_s < _LATEST_S or not until_s >= since_s:
                raise ValueError("not a mark")
            found[mark_id] = Exclusion(said_s, since_s, until_s)
        return found


def dump(exclusions: Exclusions) -> bytes:
    """Exclusions as stored, oldest first, the newest MOST; equal ones give equal bytes."""
    newest = sorted(exclusions.items(), key=lambda item: (item[1].said_s, item[0]))[-MOST:]
    rows = [[mark_id, e.said_s, e.since_s, None if e.until_s == inf else e.until_s] for mark_id, e in newest]
    return EXCLUSIONS.framed(msgpack.packb(rows))


def with_exclusion(exclusions: Exclusions, mark_id: str, new: Exclusion) -> Exclusions:
    """Exclusions with a mark, unless a later word about it is known; the same object when nothing changes."""
    known = exclusions.get(mark_id)
    if known is not None and known.said_s >= new.said_s:
        return exclusions
    return {**exclusions, mark_id: new}


def left_out(exclusions: Exclusions, recorded_at: datetime) -> bool:
    """Whether a memo recorded then is left out of its user's normal."""
    recorded_s = recorded_at.timestamp()
    return any(each.covers(recorded_s) for each in exclusions.values())

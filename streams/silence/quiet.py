"""What is remembered of one person's speaking, and their silence while one is open. Pure.

Only uploads count, by the earlier of two clocks that are not the phone's: the uploader's, and Kafka's timestamp of the
score. So a wrong phone clock, a memo recorded long ago and memos out of order are what they are: signs of life, now.
Every memo counts, whether it was judged or not. A record that says nothing new changes nothing.
"""

import struct
from math import inf
from typing import NamedTuple

from schemas.events import AlertKind
from schemas.ids import derived_id
from streams.silence.habit import SHORTEST_DAYS, limit_days, with_pause
from workers.service.record_time import EARLIEST_S

DAY_S = 86400.0


class Quiet(NamedTuple):
    """One person's speaking. Times in Unix seconds, 0 before the first memo."""

    heard_s: float = 0.0
    """When the last memo was uploaded."""
    arrived_s: float = 0.0
    """When the last record about a memo arrived here: silence is counted from it."""
    rests_until_s: float = 0.0
    """End of the cool-down after a silence."""
    key: str = ""
    """`dedup_key` of the open episode, empty when none is open."""
    memo_id: str = ""
    """The last memo."""
    pauses: bytes = b""
    """The last pauses: `streams.silence.habit`."""

    def to_bytes(self) -> bytes:
        """This state, about 160 bytes; none for a person who was never heard."""
        if self == _NONE:
            return b""
        key, memo = self.key.encode(), self.memo_id.encode()
        head = _HEAD.pack(self.heard_s, self.arrived_s, self.rests_until_s, len(key), len(memo), len(self.pauses))
        return head + key + memo + self.pauses

    @classmethod
    def from_bytes(cls, data: bytes) -> "Quiet":
        """The state in `data`. Raises struct.error or ValueError for other bytes."""
        if not data:
            return _NONE
        heard_s, arrived_s, rests_until_s, key, memo, pauses = _HEAD.unpack_from(data)
        if not 0.0 <= heard_s + arrived_s + rests_until_s < _LATEST_S:
            raise ValueError("times that no memo leads to")
        at = _HEAD.size
        if len(data) != at + key + memo + pauses:
            raise ValueError("another length than a silence has")
        texts, pauses_kept = data[at : at + key + memo], data[at + key + memo :]
        return cls(heard_s, arrived_s, rests_until_s, texts[:key].decode(), texts[key:].decode(), pauses_kept)

    def until(self, latest_s: float, cooldown_s: float) -> "Quiet":
        """The state without times after `latest_s`, of a clock that was ahead; the same object when there is none."""
        if max(self.heard_s, self.arrived_s) <= latest_s and self.rests_until_s <= latest_s + cooldown_s:
            return self
        return self._replace(
            heard_s=min(self.heard_s, latest_s),
            arrived_s=min(self.arrived_s, latest_s),
            rests_until_s=min(self.rests_until_s, latest_s + cooldown_s),
        )


_HEAD = struct.Struct("<dddBHB")
_NONE = Quiet()
_LATEST_S = 1e12


def heard(
    quiet: Quiet, memo_id: str, uploaded_s: float, arrived_s: float, alerts_per_year: float, cooldown_s: float
) -> Quiet:
    """The state after a record about a memo arrived; the same object when the record says nothing new.

    A later upload than the last one ends an open episode. A silence is learnt as a pause as long as its limit, so that
    one long absence does not make the next one usual. An upload time before EARLIEST_S is that of a clock never set.
    """
    at_s = min(uploaded_s if uploaded_s >= EARLIEST_S else inf, arrived_s)
    if at_s <= quiet.heard_s:
        return quiet if arrived_s <= quiet.arrived_s else quiet._replace(arrived_s=arrived_s)
    pauses, rests_until_s = quiet.pauses, quiet.rests_until_s
    if quiet.heard_s:
        pause = (at_s - quiet.heard_s) / DAY_S
        if pause >= SHORTEST_DAYS:
            limit = limit_days(pauses, alerts_per_year)
            if pause >= limit:
                pause, rests_until_s = limit, at_s + cooldown_s
        pauses = with_pause(pauses, pause)
    return Quiet(at_s, max(arrived_s, quiet.arrived_s), rests_until_s, "", memo_id, pauses)


def due_s(quiet: Quiet, alerts_per_year: float) -> float:
    """When this person's silence begins to be one, Unix seconds; infinite without a habit, or in an open episode."""
    if quiet.key:
        return inf
    return max(quiet.arrived_s + DAY_S * limit_days(quiet.pauses, alerts_per_year), quiet.rests_until_s)


def opened(quiet: Quiet, user_id: str) -> Quiet:
    """The state with an episode that starts after its last memo; the same memo always gives the same key."""
    return quiet._replace(key=derived_id("episode", user_id, AlertKind.SILENCE, quiet.memo_id))

"""The last memos of a user, with their scores and evidence, in the bytes of a drift state. Pure.

Memos are in the order of recording, so that the bytes do not depend on the order in which their scores came. The usual
memo is later than all others: it is appended, and nothing is decoded.
"""

import struct
from collections.abc import Sequence
from math import isnan, nan
from typing import NamedTuple

from schemas.events import Band, Evidence
from schemas.markers import MARKER_NAMES

MEMOS = 12
"""Last memos that a state holds."""
MARKERS_A_MEMO = 5
"""Markers of a memo that it holds, the first ones: a scorer writes as many."""
LONGEST_NAME = 48
"""Characters of the name of a marker that is not in the table; one with a longer name is left out."""
NONE = b""
"""The bytes without a memo."""

_HEAD = struct.Struct("<Bd")
"""Memos, and when the last one was recorded (Unix seconds)."""
_MEMO = struct.Struct("<HBdd")
"""Bytes of the memo, band, when it was recorded, probability."""
_EVIDENCE = struct.Struct("<Bffff")
"""Marker, value, usual, deviation, contribution; NaN for None."""
_FRAGILE, _NAMED = 0x80, 0x7F
_BANDS = (Band.LOW, Band.HIGH, Band.INDETERMINATE)
_CODES = {name: code for code, name in enumerate(MARKER_NAMES)}
_LARGEST = 3.4e38
"""What a float of 32 bits holds."""


class Memo(NamedTuple):
    """One memo. recorded_s: when it was recorded, Unix seconds."""

    recorded_s: float
    probability: float | None
    band: Band
    evidence: tuple[Evidence, ...] = ()


def with_memo(recent: bytes, memo: Memo) -> bytes:
    """The memos with one more, at most MEMOS, oldest first.

    An indeterminate memo makes way for the score of the same moment: a memo is scored later when a part of it was late.
    """
    if not recent:
        return _HEAD.pack(1, memo.recorded_s) + _to_bytes(memo)
    count, last_s = _HEAD.unpack_from(recent)
    if memo.recorded_s <= last_s:
        return _joined(_in_order([*recent_memos(recent), memo]))
    start = _HEAD.size
    if count == MEMOS:
        start += _MEMO.unpack_from(recent, start)[0]
        count -= 1
    return b"".join((_HEAD.pack(count + 1, memo.recorded_s), recent[start:], _to_bytes(memo)))


def until(recent: bytes, limit_s: float) -> bytes:
    """The memos recorded until `limit_s`, Unix seconds; the same object when all were."""
    if not recent or _HEAD.unpack_from(recent)[1] <= limit_s:
        return recent
    return _joined([memo for memo in recent_memos(recent) if memo.recorded_s <= limit_s])


def recent_memos(recent: bytes) -> list[Memo]:
    """The memos in these bytes, oldest first. Raises ValueError or struct.error for other bytes."""
    memos, at = list[Memo](), _HEAD.size
    while at < len(recent):
        size, band, recorded_s, probability = _MEMO.unpack_from(recent, at)
        if band >= len(_BANDS):
            raise ValueError("no band")
        evidence = _evidence(recent[at + _MEMO.size : at + size])
        memos.append(Memo(recorded_s, None if isnan(probability) else probability, _BANDS[band], evidence))
        at += size
    return memos


def sound(recent: bytes) -> bytes:
    """The same bytes. Raises ValueError or struct.error when they are not whole memos."""
    if recent:
        count, _ = _HEAD.unpack_from(recent)
        at, found = _HEAD.size, 0
        while at < len(recent):
            size = _MEMO.unpack_from(recent, at)[0]
            if size < _MEMO.size:
                raise ValueError("a memo that is too short")
            at, found = at + size, found + 1
        if at != len(recent) or found != count or count > MEMOS:
            raise ValueError("not whole memos")
    return recent


def _in_order(memos: Sequence[Memo]) -> list[Memo]:
    scored = {memo.recorded_s for memo in memos if memo.band is not Band.INDETERMINATE}
    kept = [memo for memo in memos if memo.band is not Band.INDETERMINATE or memo.recorded_s not in scored]
    return sorted(kept, key=lambda memo: (memo.recorded_s, _to_bytes(memo)))[-MEMOS:]


def _joined(memos: Sequence[Memo]) -> bytes:
    if not memos:
        return NONE
    return b"".join((_HEAD.pack(len(memos), memos[-1].recorded_s), *map(_to_bytes, memos)))


def _to_bytes(memo: Memo) -> bytes:
    parts = [_marker(each) for each in memo.evidence[:MARKERS_A_MEMO]]
    size = _MEMO.size + sum(map(len, parts))
    probability = nan if memo.probability is None else memo.probability
    return b"".join((_MEMO.pack(size, _BANDS.index(memo.band), memo.recorded_s, probability), *parts))


def _marker(evidence: Evidence) -> bytes:
    name, value, deviation_sd, fragile, contribution, usual = (
        evidence.name, evidence.value, evidence.deviation_sd, evidence.fragile, evidence.contribution, evidence.usual
    )  # fmt: skip
    code = _CODES.get(name, _NAMED) | (_FRAGILE if fragile else 0)
    numbers = (value, nan if usual is None else usual, deviation_sd, nan if contribution is None else contribution)
    try:
        packed = _EVIDENCE.pack(code, *numbers)
    except OverflowError:
        packed = _EVIDENCE.pack(code, *(min(max(number, -_LARGEST), _LARGEST) for number in numbers))
    if name in _CODES:
        return packed
    written = name.encode()
    return packed + bytes((len(written),)) + written if len(written) <= LONGEST_NAME else b""


def _evidence(data: bytes) -> tuple[Evidence, ...]:
    found, at = list[Evidence](), 0
    while at < len(data):
        code, value, usual, deviation_sd, contribution = _EVIDENCE.unpack_from(data, at)
        at += _EVIDENCE.size
        if code & _NAMED == _NAMED:
            name = data[at + 1 : at + 1 + data[at]].decode()
            at += 1 + data[at]
        else:
            name = MARKER_NAMES[code & _NAMED]
        found.append(Evidence(name, value, deviation_sd, bool(code & _FRAGILE), _known(contribution), _known(usual)))
    return tuple(found)


def _known(number: float) -> float | None:
    return None if isnan(number) else number

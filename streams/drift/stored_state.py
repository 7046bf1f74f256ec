"""The bytes of one user's drift state: chart, episodes, recent memos and encoded alerts. Loads no Avro. Pure."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from schemas.state_keys import DRIFT
from streams.drift.detector_state import DriftState, with_priors
from streams.drift.episodes import Alerting
from streams.reasons.recent_memos import NONE, sound

VERSION = DRIFT.version
"""Of stored states. Also read: version 1, whose charts had no prior, and 2, without recent memos."""
LARGEST = 8192
"""Maximum bytes of one user's state; undelivered alerts are dropped, oldest first, to stay below."""
_HEAD = struct.Struct("<BHHB")
_SIZE = struct.Struct("<H")


class StoredState(NamedTuple):
    """One user's state.

    outbox: alerts not known to be delivered, oldest first, as encoded records; recent: see `reasons.recent_memos`.
    """

    drift: DriftState = DriftState()
    alerting: Alerting = Alerting()
    outbox: tuple[bytes, ...] = ()
    recent: bytes = NONE


def to_bytes(drift: DriftState, alerting: Alerting, outbox: Sequence[bytes], recent: bytes) -> bytes:
    """The state as stored, at most LARGEST bytes; equal states give equal bytes."""
    return _joined(drift.to_bytes(), alerting.to_bytes(), list(outbox[-255:]), recent)


def from_bytes(state: bytes) -> StoredState:
    """The state in stored bytes. Raises UnreadableState when they are damaged or of another version."""
    with DRIFT.decoding():
        DRIFT.opened(state)
        version, drift, alerting, _ = _HEAD.unpack_from(state)
        at = _HEAD.size
        stored, at = state[at : at + drift], at + drift
        episodes, at = state[at : at + alerting], at + alerting
        recent = NONE
        if version >= 3:
            (size,) = _SIZE.unpack_from(state, at)
            at += _SIZE.size + size
            recent = sound(state[at - size : at])
        return StoredState(
            DriftState.from_bytes(stored if version > 1 else with_priors(stored)),
            Alerting.from_bytes(episodes),
            tuple(_outbox(state[at:])),
            recent,
        )


def alerting_of(state: bytes) -> Alerting:
    """The episodes alone. Raises struct.error or ValueError for bytes that are no state."""
    _, drift, alerting, _ = _HEAD.unpack_from(state)
    return Alerting.from_bytes(state[_HEAD.size + drift : _HEAD.size + drift + alerting])


def _joined(drift: bytes, alerting: bytes, outbox: list[bytes], recent: bytes) -> bytes:
    room = LARGEST - _HEAD.size - len(drift) - len(alerting) - _SIZE.size - len(recent)
    while outbox and sum(_SIZE.size + len(alert) for alert in outbox) > room:
        outbox.pop(0)
    head = _HEAD.pack(VERSION, len(drift), len(alerting), len(outbox))
    rest = (_SIZE.pack(len(recent)), recent)
    return b"".join((head, drift, alerting, *rest, *(_SIZE.pack(len(alert)) + alert for alert in outbox)))


def _outbox(data: bytes) -> list[bytes]:
    alerts, at = [], 0
    while at < len(data):
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size + size
        alerts.append(data[at - size : at])
    return alerts

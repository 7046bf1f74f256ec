"""Which markers a memo's recording makes unreliable. Pure."""

from schemas.markers import MARKERS, Condition

NOISY_BELOW_DB = 25.0
"""SNR below which markers that noise moves are not to be trusted; moves were measured at 20 dB."""

NARROW_BELOW_HZ = 4500.0
"""Bandwidth below which a memo came through a telephone."""


def fragile_markers(snr_db: float, bandwidth_hz: float) -> tuple[str, ...]:
    """Names of the markers that such a recording may have moved by more than one speaker differs from another.

    They are still computed: a user who always calls from the same telephone can be compared with themselves.
    """
    conditions = set()
    if snr_db < NOISY_BELOW_DB:
        conditions.add(Condition.NOISE)
    if bandwidth_hz < NARROW_BELOW_HZ:
        conditions.add(Condition.TELEPHONE)
    return tuple(marker.name for marker in MARKERS if conditions & set(marker.fragile))

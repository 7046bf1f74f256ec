"""Find the markers that a memo's recording conditions make unreliable. Pure."""

from schemas.markers import MARKERS, Condition

NOISY_BELOW_DB = 25.0
"""SNR below which noise-sensitive markers are unreliable; their shifts were measured at 20 dB."""

NARROW_BELOW_HZ = 4500.0
"""Bandwidth below which a memo is a telephone recording."""


def fragile_markers(snr_db: float, bandwidth_hz: float) -> tuple[str, ...]:
    """Names of the markers that such a recording may shift by more than the difference between speakers.

    They are still computed: users who always use the same telephone can be compared with themselves.
    """
    conditions = set()
    if snr_db < NOISY_BELOW_DB:
        conditions.add(Condition.NOISE)
    if bandwidth_hz < NARROW_BELOW_HZ:
        conditions.add(Condition.TELEPHONE)
    return tuple(marker.name for marker in MARKERS if conditions & set(marker.fragile))

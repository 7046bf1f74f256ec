"""A memo whose audio has been read: what every extracting stage takes."""

from dataclasses import dataclass

from schemas.events import FloatArray, MemoUploaded, Quality

SAMPLING_RATE = 16000
"""Hz. Every signal past decoding has this rate."""


@dataclass(frozen=True, slots=True)
class Memo:
    """The event, its audio, and how far that can be trusted.

    signal: (samples,) float32, mono, at SAMPLING_RATE, within [-1, 1], finite.
    """

    event: MemoUploaded
    signal: FloatArray
    quality: Quality

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.signal) / SAMPLING_RATE

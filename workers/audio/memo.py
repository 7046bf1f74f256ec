"""A memo with its decoded audio: the input of every feature extraction stage."""

from dataclasses import dataclass

from schemas.events import FloatArray, MemoUploaded, Quality

SAMPLING_RATE = 16000
"""Hz. Every decoded signal has this rate."""


@dataclass(frozen=True, slots=True)
class Memo:
    """The event, its audio, and the audio's quality.

    signal: (samples,) float32, mono, at SAMPLING_RATE, within [-1, 1], finite.
    """

    event: MemoUploaded
    signal: FloatArray
    quality: Quality

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.signal) / SAMPLING_RATE

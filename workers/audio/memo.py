"""A memo with its decoded audio: the input of every feature extraction stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from schemas.events import Extractor, FloatArray, MemoFeatures, MemoUploaded, Modality, Quality

SAMPLING_RATE = 16000
"""Hz. Every decoded signal has this rate."""

Reserve: TypeAlias = Callable[[float], None]
"""Returns when a signal of so many seconds may be made, in place of any length reserved before."""


def no_reservation(_: float) -> None:
    """Any length may be made."""


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

    def features(
        self,
        modality: Modality,
        extractor: Extractor,
        window_s: float,
        windows: FloatArray,
        summary: FloatArray,
        *,
        names: tuple[str, ...] = (),
        undefined: tuple[str, ...] = (),
    ) -> MemoFeatures:
        """The record of one modality of this memo. Arguments are those fields of MemoFeatures that the memo lacks."""
        event = self.event
        return MemoFeatures(
            memo_id=event.memo_id,
            user_id=event.user_id,
            recorded_at=event.recorded_at,
            uploaded_at=event.uploaded_at,
            modality=modality,
            extractor=extractor,
            duration_s=self.duration_s,
            window_s=window_s,
            windows=windows,
            summary=summary,
            names=names,
            quality=self.quality,
            undefined=undefined,
        )

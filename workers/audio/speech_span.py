"""The part of a memo that is measured: from its first speech to its last, without offset. Pure.

Every modality measures this part, so neither a recorder that ran on nor an offset of the microphone moves a score.
"""

from dataclasses import dataclass

import numpy as np

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_frames import FRAMES_PER_S, HOP, Frames, find_speech, islands

SPAN_VERSION = "1"
"""Incremented whenever another part is measured: features of different versions do not mix."""
LONGEST_PAUSE_S = 10.0
"""A longer silence within the speech counts as one of this length: the speaker has left, which is no pause."""
LEVEL_DB = -26.0
"""Speech level (mean power re full scale) that features are computed at, as in ITU-T P.56 practice."""


@dataclass(frozen=True, slots=True, eq=False)
class SpokenPart:
    """signal: (samples,) float32 at SAMPLING_RATE; level_db: mean power of its speech, None without speech."""

    signal: FloatArray
    level_db: float | None

    def at_level(self) -> FloatArray:
        """The signal with its speech at LEVEL_DB, a copy; itself without speech. Peaks may exceed [-1, 1]."""
        if self.level_db is None:
            return self.signal
        return self.signal * np.float32(10 ** ((LEVEL_DB - self.level_db) / 20))


def spoken_part(signal: FloatArray, margin_s: float) -> SpokenPart:
    """The part from the first speech to the last, with a margin, its longest silences cut, and its mean removed.

    signal: (samples,) float32 at SAMPLING_RATE; margin_s: silence kept before the first speech and after the last, of
    what is longer, which is due to the record button. Without speech the part is the signal as it is.
    """
    speech = find_speech(signal)
    if not speech.frames.any():
        return SpokenPart(signal, None)
    pieces = [signal[start:end] for start, end in speech_spans(speech.frames, len(signal), margin_s)]
    part = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    level_db = float(10 * np.log10(speech.power))
    return SpokenPart(part - np.float32(np.mean(part, dtype=np.float64)), level_db)


def speech_spans(speech: Frames, samples: int, margin_s: float) -> list[tuple[int, int]]:
    """Start and end, in samples, of what is kept, in order; everything without speech.

    speech: (frames,); samples: length of the signal. A silence of more than LONGEST_PAUSE_S loses its middle.
    """
    pause = round(LONGEST_PAUSE_S * FRAMES_PER_S)
    stretches = islands(speech, pause)
    if not stretches:
        return [(0, samples)]
    margin, half = round(margin_s * SAMPLING_RATE), round(LONGEST_PAUSE_S * SAMPLING_RATE) // 2
    starts = [max(stretches[0].start * HOP - margin, 0), *(each.start * HOP - half for each in stretches[1:])]
    ends = [*(each.stop * HOP + half for each in stretches[:-1]), min(stretches[-1].stop * HOP + margin, samples)]
    return list(zip(starts, ends, strict=True))

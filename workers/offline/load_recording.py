"""Load a recording of any kind."""

from pathlib import Path

import numpy as np

from schemas.events import FloatArray, Quality
from schemas.settings import Settings
from workers.audio.load import load_bytes, load_file
from workers.audio.quality import Thresholds, assess
from workers.audio.samples import decode_samples
from workers.offline.recordings import Recording


def load_recording(recording: Recording, settings: Settings) -> tuple[FloatArray, Quality]:
    """Signal and quality. Raises Poison."""
    if isinstance(recording, bytes):
        return load_bytes(recording, settings)
    if not isinstance(recording, tuple):
        return load_file(Path(recording), settings)
    samples, rate = recording
    limits = {"max_s": settings.audio_max_s, "min_s": settings.audio_min_s}
    decoded = decode_samples(np.asarray(samples), rate, **limits)
    return decoded.signal, assess(decoded, Thresholds.of(settings))

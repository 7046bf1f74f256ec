"""Simulate the recording channel of phones and browsers: lossy codecs."""

from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import numpy as np

from schemas.events import FloatArray
from workers.audio.decode import decode
from workers.audio.memo import SAMPLING_RATE

CODECS = (
    ("ipod", "aac", 32_000),
    ("ipod", "aac", 64_000),
    ("ogg", "libopus", 24_000),
    ("ogg", "libopus", 48_000),
    ("mp3", "libmp3lame", 48_000),
)
"""Container, codec and bit rate (bits/s)."""
UNCHANGED = 0.3
"""Share of recordings that arrive unchanged."""


def as_received(signal: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The signal after a codec drawn by `rng`, decoded like any memo. signal: (samples,) at SAMPLING_RATE."""
    if rng.random() < UNCHANGED:
        return signal
    container, codec, bit_rate = CODECS[int(rng.integers(len(CODECS)))]
    data = _encoded(signal, container, codec, bit_rate)
    return decode(data, max_s=2 * len(signal) / SAMPLING_RATE + 1, min_s=0.0).signal


def _encoded(signal: FloatArray, container: str, codec: str, bit_rate: int) -> bytes:
    out = BytesIO()
    samples = np.round(signal * 32767).astype(np.int16).reshape(1, -1)
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=SAMPLING_RATE, layout="mono")
        stream.bit_rate = bit_rate
        frame: Any = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLING_RATE, 0, Fraction(1, SAMPLING_RATE)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()

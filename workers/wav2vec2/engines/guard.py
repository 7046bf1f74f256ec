"""Refuse a precision that changes an encoder's frames: compared with float32 at start, on a synthetic clip."""

import numpy as np

from schemas.errors import ConfigurationError
from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.checkpoint import Checkpoint
from workers.wav2vec2.engines.engine import Engine, EngineName, Readout, load_engine

LEAST_COSINE = {"float32": 0.9995, "bfloat16": 0.9995, "int8": 0.995}
"""Of every frame with its float32 self, by precision. bfloat16 leaves .9999 at base size; int8 leaves .9998 of the
shipped encoder and .997 of random weights at base size."""
CLIP_S = 2.0


def check_precision(checkpoint: Checkpoint, name: EngineName, precision: str, threads: int) -> None:
    """Raises ConfigurationError when an engine's frames in a precision are not those in float32."""
    exact, rounded = (load_engine(name, checkpoint, each, threads) for each in ("float32", precision))
    found = least_cosine(_frames(exact), _frames(rounded))
    least = LEAST_COSINE[precision]
    if not found >= least:
        raise ConfigurationError(
            f"UNDERTONE_PRECISION={precision} changes what this encoder gives on this machine: the cosine of a frame "
            f"with its value in float32 is {found:.4f}, and at least {least} is needed; set it to float32"
        )


def least_cosine(one: FloatArray, other: FloatArray) -> float:
    """Lowest cosine between a frame and its counterpart, both (frames, width); NaN where a value is not finite.

    >>> least_cosine(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)).__round__(6)
    1.0
    """
    left, right = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / lengths).min())


def calibration_clip() -> FloatArray:
    """(samples,) of unit variance: a voice of gliding pitch that comes four times a second, in some noise."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(CLIP_S * SAMPLING_RATE)) / SAMPLING_RATE
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * time_s)) / SAMPLING_RATE
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 21))
    signal = voice * (1 + np.sin(2 * np.pi * 4 * time_s)) + 0.05 * rng.standard_normal(len(time_s))
    scaled: FloatArray = ((signal - signal.mean()) / signal.std()).astype(np.float32)
    return scaled


def _frames(engine: Engine) -> FloatArray:
    clip = calibration_clip()
    frames: FloatArray = engine.program(Readout.FRAMES)(clip[None], np.array([len(clip)], np.int32))[1][0]
    return frames

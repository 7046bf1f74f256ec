"""A recording that is in memory as samples: the same signal as its file gives."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import Poison
from workers.audio.channels import Block, Channels
from workers.audio.decode import Decoded
from workers.audio.memo import SAMPLING_RATE
from workers.audio.sources import BLOCK_SAMPLES, supported_rate

LOUDEST = 8.0
"""Floats beyond this are integers that were not divided by their full scale."""


def decode_samples(samples: NDArray[Any], sampling_rate: float, *, max_s: float, min_s: float) -> Decoded:
    """Mono float32 at 16 kHz, as `decode` gives it.

    samples: (samples,) or (samples, channels); floats with full scale at 1, or integers of 8 to 32 bits at theirs;
    max_s, min_s: bounds on the length in seconds. Raises Poison with the reasons of `decode`.
    """
    table = samples[:, None] if samples.ndim == 1 else samples
    if not table.size:
        raise Poison("audio:empty", "the array is empty")
    rate = supported_rate(sampling_rate, table.shape[1])
    seconds = len(table) / rate
    if seconds > max_s:
        raise Poison("audio:too_long", f"the audio has {seconds:.0f} s; the maximum is {max_s:g} s")
    if seconds < min_s:
        raise Poison("audio:too_short", f"the audio has {seconds:.3f} s; the minimum is {min_s:g} s")
    channels = Channels(rate, table.shape[1])
    for block in _blocks(table):
        channels.add(block)
    mono = channels.mono()
    signal = mono.signal[: round(seconds * SAMPLING_RATE)]
    return Decoded(np.clip(signal, -1.0, 1.0), mono.clipped, rate, mono.step, mono.channel)


def _blocks(table: NDArray[Any]) -> Iterator[Block]:
    step = max(1, BLOCK_SAMPLES // table.shape[1])
    for start in range(0, len(table), step):
        block = _scaled(table[start : start + step])
        if not np.isfinite(block).all():
            raise Poison("audio:not_finite", "the audio contains NaN or infinite samples")
        if (peak := float(np.abs(block).max())) > LOUDEST:
            raise Poison(
                "audio:undecodable",
                f"floating-point samples reach {peak:.0f}, full scale is 1; divide by full scale, or give integers",
            )
        yield block


def _scaled(block: NDArray[Any]) -> Block:
    """Full scale at 1, no narrower than float32. Integers are centred at 0, unsigned ones at half their range."""
    if block.dtype.kind == "f":
        widened: Block = block.astype(np.result_type(block.dtype, np.float32), copy=False)
        return widened
    scale = 2.0 ** (8 * block.dtype.itemsize - 1)
    scaled: Block = (block.astype(np.float64) - (scale if block.dtype.kind == "u" else 0.0)) / scale
    return scaled

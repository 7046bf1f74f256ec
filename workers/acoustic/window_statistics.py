"""Mean and standard deviation of frame-wise descriptors in each analysis window. Pure."""

import numpy as np

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.audio.windows import window_bounds

SHORTEST_TAIL_S = 0.4
"""A shorter last window is merged into its neighbour, as in the embedding."""


def window_statistics(frames: FloatArray, hop_s: float, samples: int, window_s: float) -> FloatArray:
    """Mean and standard deviation of every column per window: (n, 2 × columns) float32, all means first.

    frames: (frames, columns), frame i beginning at i × hop_s; samples: length of the memo at SAMPLING_RATE. A frame
    belongs to the window in which it begins. As in openSMILE, descriptors of voiced frames are 0 elsewhere, and those
    zeros count.
    """
    hop = round(hop_s * SAMPLING_RATE)
    bounds = window_bounds(samples, round(window_s * SAMPLING_RATE), round(SHORTEST_TAIL_S * SAMPLING_RATE))
    cuts = [-(-start // hop) for start, _ in bounds]
    parts = (part.astype(np.float64) for part in np.split(frames, cuts[1:]))
    return np.array([np.concatenate([part.mean(axis=0), part.std(axis=0)]) for part in parts], np.float32)

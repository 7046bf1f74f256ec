"""Find the frames of a signal that hold speech, by their energy: for quality, channels and spans. Pure.

Nothing here depends on the level but FAINTEST_DB. The acoustic markers detect speech by loudness and voicing:
`workers/acoustic/speech_activity.py`.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy import signal as filters

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE

FRAMES_PER_S = 100
HOP = SAMPLING_RATE // FRAMES_PER_S
"""Samples between frames: 10 ms."""
HIGH_PASS_HZ = 80.0
"""Removes rumble, mains hum's first harmonic and DC, and little speech."""
RANGE_DB = 10.0
"""Minimum range of speech between its syllables and its floor; hum and hiss vary less."""
ABOVE_FLOOR = 0.4
"""Speech threshold in dB, as a share of the range from floor to peaks."""
WIDEST_RANGE_DB = 65.0
"""Frames this far below the peaks are digital silence, not a room."""
ISLAND_S = 2.0
FAINTEST_DB = -75.0
"""Mean power (dB re full scale) below which nothing counts as speech, whatever the floor."""
BRIDGE_FRAMES = 15
"""Gaps up to 0.15 s are closures within words."""
SHORTEST_FRAMES = 5
VOICED_SHARE = 0.15
"""If fewer of the louder frames are periodic, they are bursts of noise, not speech."""
PERIODICITY = 0.5
PIECE = 4 * HOP
PITCH_HZ = (60.0, 500.0)

SHORTEST_LAG, LONGEST_LAG = (int(SAMPLING_RATE / hz) for hz in reversed(PITCH_HZ))
"""Samples in a period of such pitch."""

Frames = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """filtered: (samples,) the signal above 80 Hz; powers: its (frames,) dB; frames: (frames,) that hold speech."""

    filtered: FloatArray
    powers: NDArray[np.float64]
    frames: Frames

    @property
    def power(self) -> float:
        """Mean power of the speech re full scale, linear; NaN without speech."""
        return mean_power(self.powers[self.frames])


def find_speech(signal: FloatArray) -> Speech:
    """Where a signal at SAMPLING_RATE holds speech."""
    filtered = high_passed(signal)
    powers = frame_powers(filtered)
    return Speech(filtered, powers, energy_speech_frames(filtered, powers))


def high_passed(signal: FloatArray) -> FloatArray:
    """The signal above 80 Hz, as if its first sample had lasted for ever: an offset does not begin with a click."""
    if not len(signal):
        return signal
    sections, settled = _high_pass()
    state = (settled * signal[0]).astype(np.float32)
    return np.asarray(filters.sosfilt(sections, signal, zi=state)[0], np.float32)


@cache
def _high_pass() -> tuple[FloatArray, NDArray[np.float64]]:
    """The filter, and its state after an endless input of 1; designing it takes a millisecond."""
    sections = filters.butter(2, HIGH_PASS_HZ, "highpass", fs=SAMPLING_RATE, output="sos").astype(np.float32)
    return sections, filters.sosfilt_zi(sections)


def frame_powers(signal: FloatArray) -> NDArray[np.float64]:
    """Mean power of each 10 ms, smoothed over 30 ms, in dB re full scale: (frames,)."""
    frames = len(signal) // HOP
    blocks = signal[: frames * HOP].reshape(frames, HOP)
    power = np.einsum("ij,ij->i", blocks, blocks).astype(np.float64) / HOP
    smooth: NDArray[np.float64] = 10 * np.log10(ndimage.uniform_filter1d(power, 3, mode="nearest") + 1e-12)
    return smooth


def energy_speech_frames(signal: FloatArray, powers: NDArray[np.float64]) -> Frames:
    """Frames well above the memo's own floor, where enough of them are periodic: (frames,) bool.

    signal: (samples,) the high-passed signal; powers: its frames'. Stretches of loud frames that lie ISLAND_S apart
    are judged one by one, so that knocks in a long silence are no speech.
    """
    if not len(powers):
        return np.zeros(0, bool)
    audible, peaks = _audible(powers), loudest_second(powers)
    floor = max(float(np.percentile(audible, 5)), peaks - WIDEST_RANGE_DB)
    if peaks - floor < RANGE_DB or peaks < FAINTEST_DB:
        return np.zeros(len(powers), bool)
    loud = powers > max(floor + ABOVE_FLOOR * (peaks - floor), peaks - 30.0)
    bridged = ndimage.binary_closing(np.pad(loud, BRIDGE_FRAMES), np.ones(BRIDGE_FRAMES))[BRIDGE_FRAMES:-BRIDGE_FRAMES]
    speech: Frames = ndimage.binary_opening(bridged, np.ones(SHORTEST_FRAMES))
    for island in islands(speech, round(ISLAND_S * FRAMES_PER_S)):
        speech[island] &= voiced_share(signal, _only(speech, island)) >= VOICED_SHARE
    return speech


def islands(speech: Frames, gap: int) -> list[slice]:
    """The stretches of speech that lie more than `gap` frames apart, in order.

    >>> islands(np.array([1, 0, 1, 0, 0, 0, 1], bool), gap=2)
    [slice(0, 3, None), slice(6, 7, None)]
    """
    places = np.flatnonzero(speech)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > gap)
    starts, ends = places[[0, *(breaks + 1)]], places[[*breaks, -1]] + 1
    return [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _only(speech: Frames, island: slice) -> Frames:
    """The speech of one stretch."""
    alone = np.zeros_like(speech)
    alone[island] = speech[island]
    return alone


def loudest_second(powers: NDArray[np.float64]) -> float:
    """The power (dB) that the loudest frames exceed: a twentieth of the memo, at most one second.

    So a long memo with little speech has peaks, too.
    """
    loudest = max(min(len(powers) // 20, FRAMES_PER_S), 1)
    return float(np.partition(powers, -loudest)[-loudest])


def _audible(powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """The frames above digital silence, which does not reflect room noise; all frames if none is."""
    audible = powers[powers > loudest_second(powers) - WIDEST_RANGE_DB]
    return audible if len(audible) else powers


def voiced_share(signal: FloatArray, frames: Frames, most: int = 200) -> float:
    """Share of the given frames that are periodic between 60 and 500 Hz, from at most `most`, evenly spaced."""
    starts = np.flatnonzero(frames) * HOP
    starts = starts[starts + PIECE <= len(signal)]
    if not len(starts):
        return 0.0
    match = autocorrelation(signal, evenly_spaced(starts, most), np.arange(SHORTEST_LAG, LONGEST_LAG))
    return float(np.mean(peaks(match).max(axis=1) > PERIODICITY))


def evenly_spaced(places: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of the places, the first and the last among them."""
    spaced: NDArray[np.intp] = places[np.linspace(0, len(places) - 1, min(most, len(places))).astype(int)]
    return spaced


def autocorrelation(signal: FloatArray, starts: NDArray[np.intp], lags: NDArray[np.intp]) -> NDArray[np.float64]:
    """(starts, lags): of the 40 ms at each start. A pure tone has 1 at its period."""
    pieces = signal[starts[:, None] + np.arange(PIECE)]
    spectrum = np.abs(fft.rfft(pieces - pieces.mean(axis=1, keepdims=True), 2 * PIECE)) ** 2
    correlation = fft.irfft(spectrum)[:, :PIECE]
    # Longer lags sum fewer products.
    return np.asarray(correlation[:, lags] / (1 - lags / PIECE) / np.maximum(correlation[:, :1], 1e-12))


def peaks(match: NDArray[np.float64]) -> NDArray[np.float64]:
    """(starts, lags - 2): an autocorrelation at its peaks, else 0: low-pitched noise has a slope at short lags."""
    inner = match[:, 1:-1]
    return np.where((inner >= match[:, :-2]) & (inner >= match[:, 2:]), inner, 0.0)


def mean_power(powers: NDArray[np.float64]) -> float:
    """Mean of powers in dB, linear."""
    return float(np.mean(10 ** (powers / 10)))


def snr(speech: Speech) -> float:
    """Ratio of mean speech power to floor power in dB, after subtracting the floor from the speech.

    The floor is the memo's quietest tenth, because tightly trimmed clips have no longer pause.
    """
    audible = _audible(speech.powers)
    floor = mean_power(audible[audible <= np.percentile(audible, 10)])
    return float(10 * np.log10(max(speech.power - floor, 1e-12) / max(floor, 1e-12)))

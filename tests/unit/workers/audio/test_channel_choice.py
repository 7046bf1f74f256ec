"""The channel that holds the speech is chosen, whatever the other one holds."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.audio_files import spoken
from workers.audio.channel_choice import choose
from workers.audio.channels import Choice, Why
from workers.audio.memo import SAMPLING_RATE

SECONDS = 8.0
SPEECH = spoken(SECONDS, 1)
N = len(SPEECH)
TIME = np.arange(N) / SAMPLING_RATE


def white(rms: float, seed: int = 0) -> NDArray[np.float64]:
    return rms * np.random.default_rng(seed).standard_normal(N)


def notes() -> NDArray[np.float64]:
    """Four plucked notes a second, with the harmonics of a string."""
    pitches = 110.0 * 2 ** (np.random.default_rng(0).integers(0, 24, 4 * round(SECONDS)) / 12)
    hertz, since = np.repeat(pitches, SAMPLING_RATE // 4), TIME % 0.25
    strings = sum(np.sin(2 * np.pi * hertz * k * since) / k for k in range(1, 7))
    return np.asarray(0.1 * strings * np.exp(-since / 0.1))


def chosen(*channels: NDArray[np.floating], clipped: tuple[float, ...] = ()) -> Choice:
    signals = [channel.astype(np.float32) for channel in channels]
    return choose(signals.__getitem__, clipped or (0.0,) * len(signals))


OTHERS: dict[str, Callable[[], NDArray[np.float64]]] = {
    "nothing": lambda: np.zeros(N),
    "dither": lambda: white(1e-5),
    "hiss": lambda: white(0.1),
    "loud hiss": lambda: white(0.5),
    "mains hum": lambda: 0.3 * np.sign(np.sin(2 * np.pi * 50 * TIME)),
    "whine": lambda: 0.2 * np.sin(2 * np.pi * 1000 * TIME),
    "notes": notes,
    "beeps": lambda: 0.2 * np.sin(2 * np.pi * 440 * TIME) * (TIME % 1 < 0.5) + white(1e-4),
    "the same in noise": lambda: SPEECH + white(0.02),
    "the same in hum": lambda: SPEECH + 0.1 * np.sin(2 * np.pi * 150 * TIME),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_the_channel_with_the_speech_is_chosen_on_either_side(other: Callable[[], NDArray[np.float64]]) -> None:
    left, right = chosen(SPEECH, other()), chosen(other(), SPEECH)
    assert left.weights.tolist() == [1.0, 0.0]
    assert right.weights.tolist() == [0.0, 1.0]
    assert left.why == right.why
    assert left.why in {Why.ONLY_SPEECH, Why.BEST_SPEECH}


def test_one_signal_of_any_sign_and_level_does_not_cancel() -> None:
    assert chosen(SPEECH, -SPEECH).name == "1-2:one_signal"
    assert chosen(-SPEECH, SPEECH).name == "1-2:one_signal"
    assert chosen(SPEECH, 0.1 * SPEECH).name == "1+2:one_signal"
    assert chosen(SPEECH, -0.1 * SPEECH + 0.3).name == "1-2:one_signal"
    assert chosen(np.zeros(N), SPEECH, -SPEECH).name == "2-3:one_signal"
    assert chosen(SPEECH + white(0.001), SPEECH + white(0.001, 1)).name == "1+2:one_signal"


def test_a_delayed_copy_is_not_added() -> None:
    choice = chosen(SPEECH, np.roll(SPEECH, 200))
    assert sorted(choice.weights.tolist()) == [0.0, 1.0]


def test_of_two_speakers_the_one_who_speaks_longer_is_chosen() -> None:
    long, short = spoken(SECONDS, 2, pause_share=0.1), spoken(SECONDS, 3, pause_share=0.1)
    speaks = (TIME % 4 < 2.6).astype(np.float32)
    room = white(1e-4)
    bleed = 0.03
    left = long * speaks + bleed * short * (1 - speaks) + room
    right = short * (1 - speaks) + bleed * long * speaks + room
    assert chosen(left, right).name == "1:most_speech"
    assert chosen(right, left).name == "2:most_speech"


def test_a_clipped_copy_is_left_out() -> None:
    clipped = np.clip(20 * SPEECH, -1, 1)
    assert chosen(SPEECH, clipped, clipped=(0.0, 0.2)).weights.tolist() == [1.0, 0.0]


def test_without_speech_all_channels_stay() -> None:
    assert chosen(white(0.1), white(0.1, 1)).name == "1+2:no_speech"
    assert chosen(np.zeros(0), np.zeros(0)).name == "1+2:no_speech"

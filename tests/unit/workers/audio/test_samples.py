"""Samples in memory give the same signal as the file they are of."""

from io import BytesIO

import numpy as np
import pytest
import soundfile

from schemas.errors import Poison
from tests.audio_files import sndfile, spoken
from workers.audio.decode import Decoded, decode
from workers.audio.samples import decode_samples

SIGNAL = spoken(2.0)
FILES = {
    "16 kHz": sndfile(SIGNAL),
    "44.1 kHz": sndfile(SIGNAL, rate=44100),
    "stereo": sndfile(SIGNAL, rate=48000, channels=2),
    "8 bit": sndfile(SIGNAL, subtype="PCM_U8"),
}


def decoded(samples: np.ndarray, rate: float = 16000) -> Decoded:
    return decode_samples(samples, rate, max_s=60.0, min_s=0.1)


@pytest.mark.parametrize("name", FILES)
def test_samples_are_what_their_file_is(name: str) -> None:
    samples, rate = soundfile.read(BytesIO(FILES[name]), dtype="float32")
    there, here = decode(FILES[name], max_s=60.0, min_s=0.1), decoded(samples, rate)
    np.testing.assert_array_equal(here.signal, there.signal)
    assert (here.clipped, here.sampling_rate, here.step, here.channel) == (
        *(there.clipped, there.sampling_rate, there.step, there.channel),
    )


@pytest.mark.parametrize(("kind", "zero", "scale"), [("u1", 128, 2**7), ("i2", 0, 2**15), ("i4", 0, 2**31)])
def test_integers_have_their_own_full_scale(kind: str, zero: int, scale: int) -> None:
    integers = np.round(SIGNAL.astype(np.float64) * (scale - 1) + zero).astype(kind)
    np.testing.assert_allclose(decoded(integers).signal, SIGNAL, atol=1 / scale)


def test_half_precision_is_read_as_what_it_says() -> None:
    half = SIGNAL.astype(np.float16)
    np.testing.assert_array_equal(decoded(half).signal, decoded(half.astype(np.float32)).signal)


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (np.zeros(0), 16000, "audio:empty"),
        (np.zeros((0, 2)), 16000, "audio:empty"),
        (np.zeros(16000), 100, "audio:undecodable"),
        (np.zeros(16000), float("nan"), "audio:undecodable"),
        (np.zeros(16000), float("inf"), "audio:undecodable"),
        (np.zeros((2, 16000)), 16000, "audio:undecodable"),  # channels first
        (np.zeros(100), 16000, "audio:too_short"),
        (np.zeros(61 * 4000, np.int8), 4000, "audio:too_long"),
        (np.array([0.0, np.nan] * 8000), 16000, "audio:not_finite"),
        (SIGNAL * 32768, 16000, "audio:undecodable"),
    ],
    ids=[
        "empty",
        "no frames",
        "rate",
        "no rate",
        "endless rate",
        "channels first",
        "short",
        "long",
        "not finite",
        "integers as floats",
    ],
)
def test_what_cannot_be_used_says_why(samples: np.ndarray, rate: float, reason: str) -> None:
    with pytest.raises(Poison) as caught:
        decoded(samples, rate)
    assert caught.value.reason == reason

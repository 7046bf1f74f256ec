"""Opening one recording: which decoder reads it, what its header says, and what its clock leaves out."""

from io import BytesIO
from typing import Any

import av
import numpy as np
import pytest

from schemas.errors import Poison
from tests.audio_files import encodings, ffmpeg, sndfile, spoken
from workers.audio.memo import SAMPLING_RATE
from workers.audio.sources import AUDIO_CODECS, PAUSE_S, Source, open_source
from workers.containers.links import links

SIGNAL = spoken(3.0)
ENCODINGS = encodings(SIGNAL)


def opened(data: bytes) -> Source:
    (link,) = links(data)
    return open_source(link)


def seconds(source: Source) -> float:
    return sum(map(len, source.blocks)) / source.sampling_rate


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_header_is_read_before_its_samples(name: str) -> None:
    source = opened(ENCODINGS[name])
    assert source.expected_s is None or source.expected_s == pytest.approx(3.0, abs=0.6)
    assert source.declared_s is None or source.declared_s == pytest.approx(3.0, abs=0.1)
    assert seconds(source) == pytest.approx(3.0, abs=0.1)


def test_every_codec_of_the_allow_list_is_audio() -> None:
    known = [name for name in AUDIO_CODECS if name in av.codecs_available]
    assert len(known) > 30
    assert {av.Codec(name, "r").type for name in known} == {"audio"}


def paused(gap_s: float) -> bytes:
    """WebM whose clock steps by about `gap_s` after one second."""
    silence = np.zeros(round(gap_s * SAMPLING_RATE), np.float32)
    signal = np.concatenate([SIGNAL[:SAMPLING_RATE], silence, SIGNAL[SAMPLING_RATE:]])
    return ffmpeg(signal, container="webm", codec="libopus", rate=48000, left_out_s=(1.0, 1.0 + gap_s))


@pytest.mark.parametrize("gap_s", [0.5, PAUSE_S - 0.5])
def test_a_short_step_of_the_clock_is_silence(gap_s: float) -> None:
    assert seconds(opened(paused(gap_s))) == pytest.approx(3.0 + gap_s, abs=0.1)


@pytest.mark.parametrize("gap_s", [PAUSE_S + 0.5, 60.0])
def test_a_long_step_of_the_clock_is_a_pause_and_left_out(gap_s: float) -> None:
    assert seconds(opened(paused(gap_s))) == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(("channels", "rate"), [(17, 16_000), (16, 192_000), (64, 48_000)])
def test_absurd_channels_and_rates_are_refused_by_the_header(channels: int, rate: int) -> None:
    with pytest.raises(Poison, match=f"{channels} channels"):
        opened(sndfile(SIGNAL[:1000], rate=rate, channels=channels))


def test_a_video_beside_the_sound_is_neither_decoded_nor_in_the_way() -> None:
    assert seconds(opened(film_with_sound())) == pytest.approx(3.0, abs=0.1)


def film_with_sound() -> bytes:
    """A talking film, of which the sound is read."""
    out = BytesIO()
    file: Any = av.open(out, "w", format="matroska")
    video, audio = file.add_stream("mpeg4", rate=5), file.add_stream("libopus", rate=48000, layout="mono")
    video.width = video.height = 32
    video.pix_fmt = "yuv420p"
    samples = np.round(np.repeat(SIGNAL, 3) * 32767).astype(np.int16).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = 48000
    picture = av.VideoFrame(32, 32, "yuv420p")
    for packet in [*video.encode(picture), *video.encode(None), *audio.encode(frame), *audio.encode(None)]:
        file.mux(packet)
    file.close()
    return out.getvalue()

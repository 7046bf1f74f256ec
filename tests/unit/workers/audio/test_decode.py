"""Whatever the bytes are: one aligned signal within bounds, or a Poison that says why."""

import csv
import tracemalloc
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import Poison
from schemas.events import FloatArray
from tests.audio_files import broken, encodings, ffmpeg, sndfile, spoken, wave_header
from workers.audio.decode import Decoded, decode
from workers.audio.memo import SAMPLING_RATE

SIGNAL = spoken(3.0)
ENCODINGS = encodings(SIGNAL)
LOSSLESS = ("wav", "wav_float", "wav_extensible", "flac", "caf", "aiff", "wav_48k_24bit_stereo")
ALIGNED = ("wav_u8", "vorbis", "opus", "mp3", "m4a", "webm")
CHUNK_S = 0.06
"""What a codec may add or lack at the ends."""


def read(data: bytes, max_s: float = 60.0, min_s: float = 0.1) -> Decoded:
    return decode(data, max_s=max_s, min_s=min_s)


def reason(data: bytes, max_s: float = 60.0) -> str:
    with pytest.raises(Poison) as caught:
        read(data, max_s)
    assert caught.value.reason.startswith("audio:")
    return caught.value.reason.removeprefix("audio:")


def likeness(one: FloatArray, other: FloatArray) -> float:
    """Correlation with no shift allowed."""
    n = min(len(one), len(other))
    return float(np.corrcoef(one[:n], other[:n])[0, 1])


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_gives_one_kind_of_signal(name: str) -> None:
    signal = read(ENCODINGS[name]).signal
    assert signal.dtype == np.float32
    assert signal.ndim == 1
    assert np.isfinite(signal).all()
    assert np.abs(signal).max() <= 1.0
    assert abs(len(signal) - len(SIGNAL)) <= CHUNK_S * SAMPLING_RATE


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_encodings_come_back_sample_by_sample(name: str) -> None:
    np.testing.assert_allclose(read(ENCODINGS[name]).signal, SIGNAL, atol=2e-3 if "48k" in name else 1e-4)


@pytest.mark.parametrize("name", ALIGNED)
def test_lossy_encodings_stay_aligned_because_their_delay_is_trimmed(name: str) -> None:
    assert likeness(read(ENCODINGS[name]).signal, SIGNAL) > 0.97


def test_a_telephone_rate_keeps_what_lies_below_4_khz() -> None:
    there_and_back = read(sndfile(read(ENCODINGS["wav_8k"]).signal, rate=8000)).signal
    assert likeness(there_and_back, read(ENCODINGS["wav_8k"]).signal) > 0.999


def test_channels_are_averaged() -> None:
    left, right = np.full(8000, 0.5, np.float32), np.full(8000, -0.25, np.float32)
    stereo = BytesIO()
    soundfile.write(stereo, np.stack([left, right], axis=1), SAMPLING_RATE, format="WAV", subtype="FLOAT")
    np.testing.assert_allclose(read(stereo.getvalue()).signal, 0.125, atol=1e-6)


def test_decoding_twice_gives_the_same_bits() -> None:
    for data in ENCODINGS.values():
        np.testing.assert_array_equal(read(data).signal, read(data).signal)


def test_samples_beyond_full_scale_are_clipped_and_counted() -> None:
    decoded = read(sndfile(SIGNAL * np.float32(1.5 / np.abs(SIGNAL).max()), subtype="FLOAT"))
    assert np.abs(decoded.signal).max() == 1.0
    assert decoded.clipped == pytest.approx(np.mean(np.abs(SIGNAL) * 1.5 / np.abs(SIGNAL).max() >= 0.999))


def test_floats_far_beyond_full_scale_make_no_warning() -> None:
    assert np.abs(read(sndfile(SIGNAL * np.float32(1e38), subtype="FLOAT", rate=SAMPLING_RATE)).signal).max() <= 1.0


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "empty": "empty",
        "text": "undecodable",
        "header_only": "truncated",
        "truncated": "truncated",
        "two_hours": "too_long",
        "nan": "not_finite",
        "ten_ms": "too_short",
        "m4a_cut": "undecodable",
        "flac_rotten": "undecodable",
    }.items(),
)
def test_broken_files_are_poison_with_their_reason(name: str, expected: str) -> None:
    assert reason(broken(SIGNAL)[name], max_s=1800.0) == expected


@pytest.mark.parametrize(
    "name", ["wav", "flac", "vorbis", "opus", "mp3", "m4a", "mp4_fragmented", "webm", "amr", "3gp", "caf"]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_cut_file_is_refused_whatever_its_kind(name: str, share: float) -> None:
    data = ENCODINGS[name]
    assert reason(data[: int(len(data) * share)]) in {"truncated", "undecodable"}


@pytest.mark.parametrize("name", ["mp3", "aac", "flac"])
@pytest.mark.parametrize("size", [0, 300, 20000])
def test_a_tag_before_the_audio_is_stepped_over(name: str, size: int) -> None:
    data = ENCODINGS[name]
    bare = data[data.index(b"\xff") :] if name == "mp3" else data
    tag = b"ID3\x04\0\0" + bytes([0, size >> 14, size >> 7 & 127, size & 127]) + b"\0" * size
    assert likeness(read(tag + bare).signal, read(data).signal) > 0.999


@pytest.mark.parametrize(("container", "codec", "rate"), [("webm", "libopus", 48000), ("ipod", "aac", 44100)])
def test_silence_that_was_not_sent_is_silence_again(container: str, codec: str, rate: int) -> None:
    sparse = ffmpeg(SIGNAL, container=container, codec=codec, rate=rate, left_out_s=(1.0, 2.0))
    signal = read(sparse).signal
    assert len(signal) == pytest.approx(len(SIGNAL), abs=CHUNK_S * SAMPLING_RATE)
    assert np.abs(signal[round(1.2 * SAMPLING_RATE) : round(1.8 * SAMPLING_RATE)]).max() < 1e-3
    # WebM keeps whole milliseconds, so what follows a gap may stand half a one beside its place.
    after = round(2.2 * SAMPLING_RATE)
    assert max(likeness(signal[after + shift :], SIGNAL[after:]) for shift in range(-10, 11)) > 0.95


def test_a_promise_that_is_only_a_little_off_is_forgiven() -> None:
    assert len(read(wave_header(2 * len(SIGNAL) + 44) + ENCODINGS["wav"][44:]).signal) == len(SIGNAL)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_stream_that_never_knew_its_length_is_read_to_its_end(size: int) -> None:
    assert len(read(wave_header(size) + ENCODINGS["wav"][44:]).signal) == len(SIGNAL)


def test_two_promised_hours_are_refused_before_anything_is_decoded() -> None:
    hours = wave_header(2 * 3600 * SAMPLING_RATE * 2)
    assert reason(hours + b"\0" * 32000, max_s=1800.0) == "too_long"
    assert reason(wave_header(1700 * SAMPLING_RATE * 2) + b"\0" * 32000, max_s=1800.0) == "truncated"


@pytest.mark.parametrize("kind", ["OGG", "FLAC"])
def test_a_small_file_that_unfolds_into_minutes_costs_only_what_is_allowed(kind: str) -> None:
    bomb = sndfile(np.zeros(240 * SAMPLING_RATE, np.float32), kind=kind)
    tracemalloc.start()
    try:
        assert reason(bomb, max_s=2.0) == "too_long"
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"<?xml version='1.0'?><MPD><Period/></MPD>",
        b"RIFF\x24\x00\x00\x00WAVE" + b"text" * 40,
        b"OggS" + b"text" * 40,
        b"\xff\xfb" + b"text" * 400,
        b"ID3" + b"\0" * 500,
        b"\0\0\0\x18ftypmp42" + b"\0" * 500,
    ],
)
def test_texts_and_playlists_are_no_audio(text: bytes) -> None:
    assert reason(text) in {"undecodable", "truncated"}


def test_a_video_without_sound_says_so() -> None:
    with pytest.raises(Poison, match="no audio stream"):
        read(_silent_film())


def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    for data in [*ENCODINGS.values(), *broken(SIGNAL).values()]:
        for damaged in (data, data[: len(data) // 2], data[: len(data) // 3] + data[len(data) // 2 :]):
            with suppress(Poison):
                read(damaged)
    assert capfd.readouterr() == ("", "")


@given(data=st.data())
@settings(max_examples=400, derandomize=True, suppress_health_check=list(HealthCheck))
def test_damaged_files_give_poison_or_sound_never_anything_else(data: st.DataObject) -> None:
    file = bytearray(FUZZED[data.draw(st.sampled_from(sorted(FUZZED)))])
    position = st.integers(0, len(file) - 1)
    match data.draw(st.sampled_from(["flip", "head", "cut", "lose", "splice"])):
        case "flip":
            for at in data.draw(st.lists(position, min_size=1, max_size=30)):
                file[at] ^= 1 << data.draw(st.integers(0, 7))
        case "head":
            for at in data.draw(st.lists(st.integers(0, min(len(file), 300) - 1), min_size=1, max_size=8)):
                file[at] = data.draw(st.integers(0, 255))
        case "cut":
            file = file[: data.draw(position)]
        case "lose":
            first, last = sorted((data.draw(position), data.draw(position)))
            del file[first:last]
        case "splice":
            other = FUZZED[data.draw(st.sampled_from(sorted(FUZZED)))]
            file = file[: data.draw(position)] + other[data.draw(st.integers(0, len(other) - 1)) :]
    try:
        decoded = read(bytes(file), max_s=20.0)
    except Poison:
        return
    assert len(decoded.signal) <= 20.0 * SAMPLING_RATE + 1
    assert np.isfinite(decoded.signal).all()
    assert np.abs(decoded.signal).max() <= 1.0


FUZZED = encodings(SIGNAL[:SAMPLING_RATE])


@pytest.mark.shared
def test_real_clips_survive_what_phones_do_to_them(shared: Path) -> None:
    for path in real_clips(shared, "emodb", 60):
        signal, _ = soundfile.read(path, dtype="float32")
        files = encodings(signal)
        for name in (*LOSSLESS, *ALIGNED):
            assert likeness(read(files[name]).signal, signal) > 0.97, name


def real_clips(shared: Path, corpus: str, every: int) -> list[Path]:
    with (shared / "audio" / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == corpus]
    return [shared / "audio" / row["path"] for row in rows[::every]]


def _silent_film() -> bytes:
    out = BytesIO()
    file: Any = av.open(out, "w", format="mp4")
    stream = file.add_stream("mpeg4", rate=5)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    for packet in [*stream.encode(av.VideoFrame(32, 32, "yuv420p")), *stream.encode(None)]:
        file.mux(packet)
    file.close()
    return out.getvalue()

"""Encoded and broken audio for tests, made on the spot."""

import struct
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import numpy as np
import soundfile
import soxr

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.source_filter import Voice, speak


def sndfile(
    signal: FloatArray, *, kind: str = "WAV", subtype: str | None = None, rate: int = SAMPLING_RATE, channels: int = 1
) -> bytes:
    """`signal` (16 kHz mono) as libsndfile writes it, resampled to `rate` and copied to `channels`."""
    out = BytesIO()
    samples = _copies(signal, rate, channels)
    with soundfile.SoundFile(out, "w", rate, channels, format=kind, subtype=subtype) as file:
        for start in range(0, len(samples), rate):  # its Vorbis encoder crashes on minutes at once
            file.write(samples[start : start + rate])
    return out.getvalue()


def ffmpeg(
    signal: FloatArray,
    *,
    container: str,
    codec: str,
    rate: int = SAMPLING_RATE,
    channels: int = 1,
    bit_rate: int = 0,
    movflags: str = "",
    left_out_s: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """`signal` (16 kHz mono) as FFmpeg writes it: m4a ("ipod", "aac"), webm ("webm", "libopus"), and so on.

    left_out_s: packets that start between these times are not written, as by a recorder that sends no silence.
    """
    out = BytesIO()
    file: Any = av.open(out, "w", format=container, options={"movflags": movflags} if movflags else {})
    stream = file.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo")
    if bit_rate:
        stream.bit_rate = bit_rate
    samples = np.round(np.clip(_copies(signal, rate, channels), -1, 1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=stream.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for packet in [*stream.encode(frame), *stream.encode(None)]:
        if packet.pts is None or not left_out_s[0] <= packet.pts * packet.time_base < left_out_s[1]:
            file.mux(packet)
    file.close()
    return out.getvalue()


def encodings(signal: FloatArray) -> dict[str, bytes]:
    """One recording as phones, browsers and recorders would send it."""
    return {
        "wav": sndfile(signal),
        "wav_u8": sndfile(signal, subtype="PCM_U8"),
        "wav_8k": sndfile(signal, rate=8000),
        "wav_48k_24bit_stereo": sndfile(signal, subtype="PCM_24", rate=48000, channels=2),
        "wav_float": sndfile(signal, subtype="FLOAT"),
        "wav_extensible": sndfile(signal, kind="WAVEX", subtype="PCM_16"),
        "flac": sndfile(signal, kind="FLAC"),
        "vorbis": sndfile(signal, kind="OGG", subtype="VORBIS"),
        "opus": sndfile(signal, kind="OGG", subtype="OPUS", rate=48000),
        "mp3": ffmpeg(signal, container="mp3", codec="libmp3lame", rate=44100, bit_rate=96000),
        "m4a": ffmpeg(signal, container="ipod", codec="aac", rate=44100, bit_rate=96000),
        # What a browser's recorder sends: pieces as they come, sizes never filled in.
        "mp4_fragmented": ffmpeg(
            signal, container="mp4", codec="aac", rate=48000, bit_rate=96000, movflags="empty_moov+frag_keyframe"
        ),
        "aac": ffmpeg(signal, container="adts", codec="aac", rate=44100, bit_rate=96000),
        "webm": ffmpeg(signal, container="webm", codec="libopus", rate=48000, bit_rate=48000),
        "amr": ffmpeg(signal, container="amr", codec="libopencore_amrnb", rate=8000, bit_rate=12200),
        "3gp": ffmpeg(signal, container="3gp", codec="libopencore_amrnb", rate=8000, bit_rate=12200),
        "caf": sndfile(signal, kind="CAF", subtype="PCM_16"),
        "aiff": sndfile(signal, kind="AIFF", subtype="PCM_16"),
    }


def wave_header(data_bytes: int, *, rate: int = SAMPLING_RATE) -> bytes:
    """A 16-bit mono WAVE header that promises `data_bytes` of samples."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", min(36 + data_bytes, 2**32 - 1), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16),
        *(b"data", data_bytes),
    )


def broken(signal: FloatArray) -> dict[str, bytes]:
    """Files that can never become a memo, one for each way to be broken."""
    wav, nan = sndfile(signal), signal.copy()
    nan[len(nan) // 2] = np.nan
    return {
        "empty": b"",
        "text": b"This is not audio at all, whatever its name may say.\n" * 40,
        "header_only": wav[:44],
        "truncated": wav[: len(wav) // 2],
        "two_hours": wave_header(2 * 3600 * SAMPLING_RATE * 2) + wav[44:],
        "nan": sndfile(nan, subtype="FLOAT"),
        "ten_ms": sndfile(signal[: SAMPLING_RATE // 100]),
        "m4a_cut": ffmpeg(signal, container="ipod", codec="aac")[:2000],
        "flac_rotten": _rotten(sndfile(signal, kind="FLAC")),
    }


def _rotten(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(b ^ 0x5A for b in data[middle : middle + 400]) + data[middle + 400 :]


def _copies(signal: FloatArray, rate: int, channels: int) -> FloatArray:
    resampled = soxr.resample(signal, SAMPLING_RATE, rate) if rate != SAMPLING_RATE else signal
    return np.repeat(resampled[:, None], channels, axis=1)


def spoken(seconds: float = 6.0, seed: int = 0, **traits: float) -> FloatArray:
    """A simulated memo; traits: those of Voice that are not as usual."""
    return speak(replace(Voice(), **traits), seconds, np.random.default_rng(seed))[0]

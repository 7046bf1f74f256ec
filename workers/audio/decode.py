"""Decode audio bytes to one signal: mono float32 at 16 kHz, clipped to [-1, 1].

The first bytes identify the format, never the file name, and only the listed formats are opened: a demuxer that probes
may mistake text for a playlist and open the files it names. libsndfile reads formats without a demuxer, FFmpeg (PyAV)
the rest. Both decode in blocks and resample on the fly, so a small file that expands to days of audio costs no more
than `max_s` of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from schemas.errors import Poison
from schemas.events import FloatArray
from workers.audio.container_length import declares_mpeg_frames, ends_early, wave_seconds
from workers.audio.memo import SAMPLING_RATE

BLOCK_SAMPLES = 1 << 18
"""Samples decoded at a time, over all channels."""
SAMPLING_RATES_HZ = (4000, 768000)
CHANNELS_MAX = 64
ID3_HEADER_BYTES = 10
PADDING_S = 0.1
"""A codec pads its last frame; audio within this time after the declared end is padding."""
FULL_SCALE = 0.999
"""Samples with at least this |x| count as clipped; 16-bit full scale is 0.99997."""
HEADROOM = 2.0
"""Lossy decoders slightly overshoot full scale; values beyond this are not sound and would disturb the resampler."""
GAP_S = 0.05
"""Container timestamps are rounded; a longer step between frames is omitted audio."""
MISSING_S = 0.1
MISSING_SHARE = 0.01
"""A file may be this much shorter than its header declares (encoders round), no more."""

Block: TypeAlias = NDArray[np.floating[Any]]
"""(samples, channels), full scale at 1."""

# FFmpeg logs to stderr what it also raises.
av.logging.set_level(None)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A signal and the properties that resampling hides.

    signal: (samples,) float32, mono, 16 kHz, within [-1, 1], finite; clipped: share of the original samples at full
    scale; sampling_rate: of the file (Hz), twice the highest frequency it can represent.
    """

    signal: FloatArray
    clipped: float
    sampling_rate: int


@dataclass(frozen=True, slots=True)
class _Source:
    """An opened file: sampling rate, seconds its header declares (None: none), whether it is truncated, blocks."""

    sampling_rate: int
    declared_s: float | None
    ends_early: bool
    blocks: Iterator[Block]


def decode(data: bytes, *, max_s: float, min_s: float) -> Decoded:
    """Decode what phones and browsers record: wav, flac, ogg, opus, mp3, m4a, aac, 3gp, amr, webm, caf and similar.

    max_s, min_s: bounds on the length in seconds; max_s bounds memory, however far the file expands. Channels are
    averaged. Encoder delay is trimmed as the container declares, which keeps encodings of one recording aligned.
    Raises Poison with reason `audio:empty`, `audio:undecodable`, `audio:too_long`, `audio:too_short`,
    `audio:truncated` or `audio:not_finite`; nothing else, whatever the bytes are.
    """
    if not data:
        raise Poison("audio:empty", "the audio object is empty; the upload did not finish")
    try:
        source = _open(data)
        _check_length(source, max_s)
        signal, clipped = _resampled(source, max_s)
    except Poison:
        raise
    except Exception as error:  # native decoders raise many types of error on malformed bytes
        raise Poison("audio:undecodable", f"the audio is damaged: {type(error).__name__}") from None
    duration_s = len(signal) / SAMPLING_RATE
    declared_s = source.declared_s or 0.0
    if declared_s - duration_s > MISSING_S + MISSING_SHARE * declared_s:
        raise Poison("audio:truncated", f"the header declares {declared_s:.2f} s, the file contains {duration_s:.2f} s")
    if 0.0 < duration_s - declared_s <= PADDING_S and declared_s:
        signal = signal[: round(declared_s * SAMPLING_RATE)]
    if duration_s < min_s:
        raise Poison("audio:too_short", f"the audio has {duration_s:.3f} s; the minimum is {min_s:g} s")
    return Decoded(np.clip(signal, -1.0, 1.0, out=signal), clipped, source.sampling_rate)


def _check_length(source: _Source, max_s: float) -> None:
    if source.declared_s is not None and source.declared_s > max_s:
        raise Poison("audio:too_long", f"the header declares {source.declared_s:.0f} s; the maximum is {max_s:g} s")
    if source.ends_early:
        raise Poison("audio:truncated", "the file is shorter than its container declares")


def _open(data: bytes) -> _Source:
    kind = _kind(data)
    if kind is None:
        raise Poison("audio:undecodable", "the audio format is unknown")
    if kind in SNDFILE_KINDS:
        try:
            return _open_sndfile(data, kind)
        except soundfile.SoundFileError:
            pass  # a codec that libsndfile lacks, such as Speex in Ogg or AAC in CAF
    return _open_ffmpeg(data, kind)


SNDFILE_KINDS = frozenset({"wav", "w64", "aiff", "au", "flac", "ogg", "caf"})


def _kind(data: bytes) -> str | None:
    """FFmpeg's name of the container that starts with these bytes, None if unknown."""
    for offset, magic, kind in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return kind
    if data[:3] == b"ID3" and len(data) > ID3_HEADER_BYTES:
        # A tag before the audio; its size has seven bits per byte.
        size = sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
        return _kind(data[ID3_HEADER_BYTES + size :][:16]) or "mp3"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        # An MPEG frame: layer bits 00 are AAC in ADTS, any other MPEG audio.
        return "aac" if data[1] & 0xF6 == 0xF0 else "mp3"
    return None


_MAGIC = (
    (0, b"RIFF", "wav"),
    (0, b"RIFX", "wav"),
    (0, b"RF64", "wav"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"caff", "caf"),
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"#!AMR", "amr"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)


class _Bytes(BytesIO):
    """Bytes in which a seek before the start, which libsndfile does on a damaged header, does not raise."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As BytesIO.seek, but stops at the start."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return super().seek(0)


def _open_sndfile(data: bytes, kind: str) -> _Source:
    file = soundfile.SoundFile(_Bytes(data))
    rate = _checked(file.samplerate, file.channels)
    declared = wave_seconds(data) if kind == "wav" else file.frames / rate
    # libsndfile takes the length of an Ogg file from its last page: the header declares none.
    return _Source(rate, None if kind == "ogg" else declared, ends_early(data, kind), _sndfile_blocks(file))


def _sndfile_blocks(file: Any) -> Iterator[Block]:
    with file:
        frames = max(1, BLOCK_SAMPLES // file.channels)
        while len(block := file.read(frames, dtype="float32", always_2d=True)):
            yield block


def _open_ffmpeg(data: bytes, kind: str) -> _Source:
    container: Any = av.open(BytesIO(data), format=kind, metadata_errors="replace")
    if not container.streams.audio:
        container.close()
        raise Poison("audio:undecodable", "the file contains no audio stream")
    stream = container.streams.audio[0]
    frames = _frames(container, stream)
    first = next(frames, None)
    if first is None:
        raise Poison("audio:undecodable", "the audio stream is empty")
    # HE-AAC and Opus carry their true rate in the first frame, not in the header.
    rate = _checked(first.sample_rate, first.layout.nb_channels)
    declares = kind in {"mov", "asf"} or (kind == "mp3" and declares_mpeg_frames(data))
    declared = float(stream.duration * stream.time_base) if declares and stream.duration else None
    return _Source(rate, declared, ends_early(data, kind), _ffmpeg_blocks(first, frames, rate))


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    with container:
        yield from container.decode(stream)


def _ffmpeg_blocks(first: Any, frames: Iterator[Any], rate: int) -> Iterator[Block]:
    """Blocks of the frames, with silence in timestamp gaps: some recorders omit silent frames."""
    yield _block(first)
    samples = first.samples
    for frame in frames:
        if frame.sample_rate != rate:
            raise Poison("audio:undecodable", "the sampling rate changes within the file")
        missing = 0 if frame.time is None or first.time is None else round((frame.time - first.time) * rate) - samples
        samples += frame.samples
        if missing > GAP_S * rate:
            samples += missing
            yield from _silence(missing)
        yield _block(frame)


def _silence(samples: int) -> Iterator[Block]:
    while samples > 0:
        yield np.zeros((min(samples, BLOCK_SAMPLES), 1), np.float32)
        samples -= BLOCK_SAMPLES


def _block(frame: Any) -> Block:
    """(samples, channels) of a frame in any format. Integers are centred at 0, uint8 at 128."""
    samples: NDArray[Any] = frame.to_ndarray()
    by_time = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
    if by_time.dtype.kind == "f":
        return by_time
    scale = 2.0 ** (8 * by_time.dtype.itemsize - 1)
    block: Block = (by_time.astype(np.float64) - (scale if by_time.dtype.kind == "u" else 0.0)) / scale
    return block


def _checked(rate: int, channels: int) -> int:
    lowest, highest = SAMPLING_RATES_HZ
    if not lowest <= rate <= highest:
        raise Poison("audio:undecodable", f"the sampling rate is {rate} Hz; {lowest} to {highest} Hz are supported")
    if not 1 <= channels <= CHANNELS_MAX:
        raise Poison("audio:undecodable", f"the audio has {channels} channels; 1 to {CHANNELS_MAX} are supported")
    return rate


def _resampled(source: _Source, max_s: float) -> tuple[FloatArray, float]:
    """The mono signal at 16 kHz, and the share of original samples at full scale. Stops past max_s."""
    stream = soxr.ResampleStream(source.sampling_rate, SAMPLING_RATE, 1, dtype="float32", quality="HQ")
    same = source.sampling_rate == SAMPLING_RATE
    parts: list[FloatArray] = []
    samples = total = clipped = 0
    for block in source.blocks:
        if not np.isfinite(block).all():
            raise Poison("audio:not_finite", "the audio contains NaN or infinite samples")
        samples, total = samples + len(block), total + block.size
        if samples > max_s * source.sampling_rate:
            raise Poison("audio:too_long", f"the audio is longer than the maximum of {max_s:g} s")
        clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        mono = np.clip(block, -HEADROOM, HEADROOM).mean(axis=1, dtype=np.float64).astype(np.float32)
        parts.append(mono if same else stream.resample_chunk(mono))
    if not same:
        parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return (np.concatenate(parts) if parts else np.zeros(0, np.float32)), clipped / max(total, 1)

"""Audio bytes to one signal: mono float32 at 16 kHz, clipped to [-1, 1].

The kind of file is told by its first bytes, never by its name, and only the named kinds are opened: a demuxer that
guesses may take a text for a playlist and go and read what it names. libsndfile reads what needs no demuxer, FFmpeg
(PyAV) the rest. Both are read in blocks and resampled as they come, so a small file that unfolds into days of audio
costs no more than `max_s` of it.
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
from workers.audio.container_length import ends_early, tells_mpeg_frames, wave_seconds
from workers.audio.memo import SAMPLING_RATE

BLOCK_SAMPLES = 1 << 18
"""Samples, all channels together, decoded at a time."""
SAMPLING_RATES_HZ = (4000, 768000)
CHANNELS_MAX = 64
ID3_HEADER_BYTES = 10
PADDING_S = 0.1
"""A codec fills its last frame; what comes so shortly after the promised end is filling."""
FULL_SCALE = 0.999
"""|x| from which a sample counts as clipped; 16-bit full scale is 0.99997."""
HEADROOM = 2.0
"""Lossy decoders overshoot full scale a little; what lies far beyond is no sound and would upset the resampler."""
GAP_S = 0.05
"""Times in a container are rounded; a longer step between frames is sound that was left out."""
MISSING_S = 0.1
MISSING_SHARE = 0.01
"""A file may lack this much of what its header promises (encoders round), no more."""

Block: TypeAlias = NDArray[np.floating[Any]]
"""(samples, channels), full scale at 1."""

# FFmpeg reports through its log what it also raises; a worker's stderr is not the place for it.
av.logging.set_level(None)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A signal and what resampling would hide.

    signal: (samples,) float32, mono, 16 kHz, within [-1, 1], finite; clipped: share of the original samples at full
    scale; sampling_rate: of the file (Hz), twice the highest frequency it can hold.
    """

    signal: FloatArray
    clipped: float
    sampling_rate: int


@dataclass(frozen=True, slots=True)
class _Source:
    """An opened file: its rate, the seconds its header promises (None: nothing), whether bytes lack, its blocks."""

    sampling_rate: int
    promised_s: float | None
    ends_early: bool
    blocks: Iterator[Block]


def decode(data: bytes, *, max_s: float, min_s: float) -> Decoded:
    """Decode what a phone or a browser records: wav, flac, ogg, opus, mp3, m4a, aac, 3gp, amr, webm, caf, and kin.

    max_s, min_s: bounds on the length in seconds; memory is bounded by max_s whatever the file unfolds into. Channels
    are averaged. Encoder delay is trimmed as the container says, so that encodings of one recording stay aligned.
    Raises Poison with reason `audio:empty`, `audio:undecodable`, `audio:too_long`, `audio:too_short`,
    `audio:truncated` or `audio:not_finite`; nothing else, whatever the bytes are.
    """
    if not data:
        raise Poison("audio:empty", "the audio object has no bytes; the upload did not finish")
    try:
        source = _open(data)
        _check_promise(source, max_s)
        signal, clipped = _resampled(source, max_s)
    except Poison:
        raise
    except Exception as error:  # native decoders raise many kinds on bytes that are not what they claim
        raise Poison("audio:undecodable", f"the audio is damaged: {type(error).__name__}") from None
    duration_s = len(signal) / SAMPLING_RATE
    promised_s = source.promised_s or 0.0
    if promised_s - duration_s > MISSING_S + MISSING_SHARE * promised_s:
        raise Poison("audio:truncated", f"the header promises {promised_s:.2f} s, {duration_s:.2f} s are there")
    if 0.0 < duration_s - promised_s <= PADDING_S and promised_s:
        signal = signal[: round(promised_s * SAMPLING_RATE)]
    if duration_s < min_s:
        raise Poison("audio:too_short", f"{duration_s:.3f} s of audio, at least {min_s:g} s are needed")
    return Decoded(np.clip(signal, -1.0, 1.0, out=signal), clipped, source.sampling_rate)


def _check_promise(source: _Source, max_s: float) -> None:
    if source.promised_s is not None and source.promised_s > max_s:
        raise Poison("audio:too_long", f"the header promises {source.promised_s:.0f} s, {max_s:g} s are allowed")
    if source.ends_early:
        raise Poison("audio:truncated", "the file ends before its container says it does")


def _open(data: bytes) -> _Source:
    kind = _kind(data)
    if kind is None:
        raise Poison("audio:undecodable", "these bytes are no audio of a known kind")
    if kind in SNDFILE_KINDS:
        try:
            return _open_sndfile(data, kind)
        except soundfile.SoundFileError:
            pass  # a codec that libsndfile lacks, such as Speex in Ogg or AAC in CAF
    return _open_ffmpeg(data, kind)


SNDFILE_KINDS = frozenset({"wav", "w64", "aiff", "au", "flac", "ogg", "caf"})


def _kind(data: bytes) -> str | None:
    """FFmpeg's name of the container that starts with these bytes, None for any other."""
    for offset, magic, kind in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return kind
    if data[:3] == b"ID3" and len(data) > ID3_HEADER_BYTES:
        # A tag before the audio; its size comes in bytes of seven bits.
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
    """Bytes that libsndfile may seek in: a damaged header sends it before the start, where Python would raise."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As BytesIO.seek, but stops at the start."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return super().seek(0)


def _open_sndfile(data: bytes, kind: str) -> _Source:
    file = soundfile.SoundFile(_Bytes(data))
    rate = _checked(file.samplerate, file.channels)
    promised = wave_seconds(data) if kind == "wav" else file.frames / rate
    # The length of an Ogg file is libsndfile's own reading of its last page: no promise to hold it to.
    return _Source(rate, None if kind == "ogg" else promised, ends_early(data, kind), _sndfile_blocks(file))


def _sndfile_blocks(file: Any) -> Iterator[Block]:
    with file:
        frames = max(1, BLOCK_SAMPLES // file.channels)
        while len(block := file.read(frames, dtype="float32", always_2d=True)):
            yield block


def _open_ffmpeg(data: bytes, kind: str) -> _Source:
    container: Any = av.open(BytesIO(data), format=kind, metadata_errors="replace")
    if not container.streams.audio:
        container.close()
        raise Poison("audio:undecodable", "the file holds no audio stream")
    stream = container.streams.audio[0]
    frames = _frames(container, stream)
    first = next(frames, None)
    if first is None:
        raise Poison("audio:undecodable", "the audio stream holds no audio")
    # HE-AAC and Opus tell their true rate with the first frame, not in the header.
    rate = _checked(first.sample_rate, first.layout.nb_channels)
    tells = kind in {"mov", "asf"} or (kind == "mp3" and tells_mpeg_frames(data))
    promised = float(stream.duration * stream.time_base) if tells and stream.duration else None
    return _Source(rate, promised, ends_early(data, kind), _ffmpeg_blocks(first, frames, rate))


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    with container:
        yield from container.decode(stream)


def _ffmpeg_blocks(first: Any, frames: Iterator[Any], rate: int) -> Iterator[Block]:
    """Blocks of the frames, with silence where their times leave gaps: a recorder that sends none leaves it out."""
    yield _block(first)
    samples = first.samples
    for frame in frames:
        if frame.sample_rate != rate:
            raise Poison("audio:undecodable", "the sampling rate changes on the way")
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
    """(samples, channels) of a frame, whatever its format. Integers lie around 0, but for uint8, around 128."""
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
        raise Poison("audio:undecodable", f"a sampling rate of {rate} Hz; {lowest} to {highest} Hz can be read")
    if not 1 <= channels <= CHANNELS_MAX:
        raise Poison("audio:undecodable", f"{channels} channels; 1 to {CHANNELS_MAX} can be read")
    return rate


def _resampled(source: _Source, max_s: float) -> tuple[FloatArray, float]:
    """The mono signal at 16 kHz, and the share of original samples at full scale. Stops past max_s."""
    stream = soxr.ResampleStream(source.sampling_rate, SAMPLING_RATE, 1, dtype="float32", quality="HQ")
    same = source.sampling_rate == SAMPLING_RATE
    parts: list[FloatArray] = []
    samples = total = clipped = 0
    for block in source.blocks:
        if not np.isfinite(block).all():
            raise Poison("audio:not_finite", "the audio holds NaN or infinite samples")
        samples, total = samples + len(block), total + block.size
        if samples > max_s * source.sampling_rate:
            raise Poison("audio:too_long", f"more than the {max_s:g} s of audio that are allowed")
        clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        mono = np.clip(block, -HEADROOM, HEADROOM).mean(axis=1, dtype=np.float64).astype(np.float32)
        parts.append(mono if same else stream.resample_chunk(mono))
    if not same:
        parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return (np.concatenate(parts) if parts else np.zeros(0, np.float32)), clipped / max(total, 1)

"""Open one recording with its decoder: libsndfile for containers that it reads itself, FFmpeg (PyAV) for the rest.

Only listed demuxers and audio codecs are opened: a demuxer that probes may mistake text for a playlist and open the
files it names, and images and video are decoded while probing if their decoders can be reached.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.errors import Poison
from workers.audio.channels import Block
from workers.containers.frames import declares_frames
from workers.containers.links import Link

BLOCK_SAMPLES = 1 << 18
"""Samples decoded at a time, over all channels."""
SAMPLING_RATES_HZ = (4000, 768000)
CHANNELS_MAX = 16
SAMPLES_PER_S_MAX = 8 * 192_000
"""Most samples per second over all channels: what the best field recorders write. Decoding costs time for each."""
GAP_S = 0.05
"""Container timestamps are rounded; a longer step between frames is omitted audio."""
PAUSE_S = 10.0
"""A longer step between frames is the Pause button, whatever the clock did meanwhile: nothing is put in its place.

Recorders that omit silence send something at least every 0.4 s (Opus) or leave out the pauses of a speaker.
"""
SNDFILE_KINDS = frozenset({"wav", "w64", "aiff", "au", "flac", "ogg", "caf"})
AUDIO_CODECS = [
    "aac",
    "aac_latm",
    "alac",
    "amrnb",
    "amrwb",
    "libopencore_amrnb",
    "libopencore_amrwb",
    "flac",
    "gsm",
    "gsm_ms",
    "mp1",
    "mp1float",
    "mp2",
    "mp2float",
    "mp3",
    "mp3float",
    "opus",
    "libopus",
    "vorbis",
    "speex",
    "libspeex",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_f32be",
    "pcm_f32le",
    "pcm_f64be",
    "pcm_f64le",
    "pcm_s16be",
    "pcm_s16le",
    "pcm_s24be",
    "pcm_s24le",
    "pcm_s32be",
    "pcm_s32le",
    "pcm_s8",
    "pcm_u8",
    "adpcm_ima_qt",
    "adpcm_ima_wav",
    "adpcm_ms",
    "wmav1",
    "wmav2",
    "wmavoice",
    "wmapro",
    "wmalossless",
]
"""FFmpeg's names of the decoders that may run: no video, no images, no subtitles."""

# FFmpeg logs to stderr what it also raises.
av.logging.set_level(None)


@dataclass(frozen=True, slots=True)
class Source:
    """An opened recording.

    sampling_rate: Hz; declared_s: seconds that its header declares, None if it declares none; expected_s: seconds that
    it probably has, None if unknown; blocks: its samples.
    """

    sampling_rate: int
    declared_s: float | None
    expected_s: float | None
    blocks: Iterator[Block]


def open_source(link: Link) -> Source:
    """Open a recording and read its header. Raises Poison, and whatever its decoder raises on malformed bytes."""
    if link.kind in SNDFILE_KINDS:
        try:
            return _open_sndfile(link)
        except soundfile.SoundFileError:
            pass  # a codec that libsndfile lacks, such as Speex in Ogg or AAC in CAF
    return _open_ffmpeg(link)


class _Bytes(BytesIO):
    """Bytes in which a seek before the start, which libsndfile does on a damaged header, does not raise."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As BytesIO.seek, but stops at the start."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return super().seek(0)


def _open_sndfile(link: Link) -> Source:
    file = soundfile.SoundFile(_Bytes(link.data))
    rate = supported_rate(file.samplerate, file.channels)
    known_s = file.frames / rate if file.frames < UNKNOWN_FRAMES else None
    declared_s = link.declared_s if link.declared_s is not None else known_s
    # libsndfile takes the length of an Ogg file from its last page: the header declares none.
    return Source(rate, None if link.kind == "ogg" else declared_s, known_s, _sndfile_blocks(file))


UNKNOWN_FRAMES = 1 << 60
"""libsndfile says so many frames or more when the header of a stream leaves their number open."""


def _sndfile_blocks(file: Any) -> Iterator[Block]:
    with file:
        frames = max(1, BLOCK_SAMPLES // file.channels)
        while len(block := file.read(frames, dtype="float32", always_2d=True)):
            yield block


def _open_ffmpeg(link: Link) -> Source:
    options = {"codec_whitelist": ",".join(AUDIO_CODECS)}
    container: Any = av.open(BytesIO(link.data), format=link.kind, options=options, metadata_errors="replace")
    if not container.streams.audio:
        container.close()
        raise Poison("audio:undecodable", "the file contains no audio stream")
    stream = container.streams.audio[0]
    _check_if_known(stream)
    frames = _frames(container, stream)
    first = next(frames, None)
    if first is None:
        raise Poison("audio:undecodable", "the audio stream is empty")
    # HE-AAC and Opus carry their true rate in the first frame, not in the header.
    rate = supported_rate(first.sample_rate, first.layout.nb_channels)
    declares = link.kind in {"mov", "asf"} or (link.kind == "mp3" and declares_frames(link.data))
    length_s = _length_s(container, stream)
    return Source(rate, length_s if declares else None, length_s, _ffmpeg_blocks(first, frames, rate))


def _length_s(container: Any, stream: Any) -> float | None:
    """Seconds by the stream, else by the container; an estimate for some kinds."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    with container:
        yield from container.decode(stream)


def _ffmpeg_blocks(first: Any, frames: Iterator[Any], rate: int) -> Iterator[Block]:
    """Blocks of the frames, with silence in short timestamp gaps: some recorders omit silent frames."""
    yield _block(first)
    due = None if first.time is None else first.time + first.samples / rate
    for frame in frames:
        if frame.sample_rate != rate:
            raise Poison("audio:undecodable", "the sampling rate changes within the file")
        if frame.time is not None and due is not None:
            missing_s = frame.time - due
            if GAP_S < missing_s <= PAUSE_S:
                yield from _silence(round(missing_s * rate))
            if abs(missing_s) > GAP_S:
                due = frame.time
        due = None if due is None else due + frame.samples / rate
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


def _check_if_known(stream: Any) -> None:
    """Refuse a stream by its header, before its decoder runs; a header may leave the rate open."""
    if stream.rate and stream.channels:
        supported_rate(stream.rate, stream.channels)


def supported_rate(rate: float, channels: int) -> int:
    """The rate (whole Hz), if recordings of it and of so many channels are read. Raises Poison `audio:undecodable`."""
    lowest, highest = SAMPLING_RATES_HZ
    if not lowest <= rate <= highest:
        raise Poison("audio:undecodable", f"the sampling rate is {rate} Hz; {lowest} to {highest} Hz are supported")
    if not 1 <= channels <= CHANNELS_MAX:
        raise Poison("audio:undecodable", f"the audio has {channels} channels; 1 to {CHANNELS_MAX} are supported")
    whole = round(rate)
    if whole * channels > SAMPLES_PER_S_MAX:
        raise Poison(
            "audio:undecodable",
            f"the audio has {channels} channels of {whole} Hz; {SAMPLES_PER_S_MAX} samples per second are supported",
        )
    return whole

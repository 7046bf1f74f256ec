"""Decode audio bytes to one signal: mono float32 at 16 kHz, clipped to [-1, 1].

The first bytes identify the format, never the file name. A file may hold several recordings, joined or chained: all of
them are read, or none. Decoding works in blocks and resamples on the fly, so a small file that expands to days of audio
costs no more than `max_s` of it.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from schemas.errors import Poison
from schemas.events import FloatArray
from workers.audio.channels import Channels, Mono
from workers.audio.memo import SAMPLING_RATE, Reserve, no_reservation
from workers.audio.sources import Source, open_source
from workers.containers.links import Link, links

PADDING_S = 0.1
"""A codec pads its last frame; audio within this time after the declared end is padding."""
MISSING_S = 0.1
MISSING_SHARE = 0.01
"""A file may be this much shorter than its header declares (encoders round), no more."""
UNDECLARED_S = 60.0
"""Seconds reserved for a recording that does not declare its length; doubled as often as needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A signal and the properties that resampling hides.

    signal: (samples,) float32, mono, 16 kHz, within [-1, 1], finite; clipped: share of the original samples at full
    scale; sampling_rate: of the file (Hz), twice the highest frequency it can represent; step: of the samples'
    quantisation, re full scale, 0 for none; channel: the channels used and why, as in `Quality.channel`.
    """

    signal: FloatArray
    clipped: float
    sampling_rate: int
    step: float = 0.0
    channel: str = ""


def decode(data: bytes, *, max_s: float, min_s: float, reserve: Reserve = no_reservation) -> Decoded:
    """Decode what phones and browsers record: wav, flac, ogg, opus, mp3, m4a, aac, 3gp, amr, webm, caf and similar.

    max_s, min_s: bounds on the length in seconds; max_s bounds memory, however far the file expands. The channel
    with the speech is chosen (`channels`). Encoder delay is trimmed as the container declares, which keeps encodings of
    one recording aligned.
    reserve: called before decoding with the length that the file declares, and again when it turns out longer.
    Raises Poison with reason `audio:empty`, `audio:undecodable`, `audio:too_long`, `audio:too_short`,
    `audio:truncated`, `audio:not_finite` or `audio:decoder_memory`; nothing else, whatever the bytes are.
    """
    if not data:
        raise Poison("audio:empty", "the audio object is empty; the upload did not finish")
    length = _Length(max_s, reserve)
    with _damage_is_poison():
        parts = [_decode_link(link, length) for link in links(data)]
    signal = parts[0].signal if len(parts) == 1 else np.concatenate([part.signal for part in parts])
    duration_s = len(signal) / SAMPLING_RATE
    if duration_s < min_s:
        raise Poison("audio:too_short", f"the audio has {duration_s:.3f} s; the minimum is {min_s:g} s")
    clipped = sum(part.clipped * len(part.signal) for part in parts) / max(len(signal), 1)
    rate = min(part.sampling_rate for part in parts)
    longest = max(parts, key=lambda part: len(part.signal))
    step = max(part.step for part in parts)
    return Decoded(np.clip(signal, -1.0, 1.0, out=signal), clipped, rate, step, longest.channel)


class _Length:
    """Seconds decoded so far, over all recordings of a file, and seconds reserved for them."""

    def __init__(self, max_s: float, reserve: Reserve) -> None:
        self._max_s, self._reserve = max_s, reserve
        self._before_s = self._reserved_s = 0.0

    def expect(self, declared_s: float | None, expected_s: float | None) -> None:
        """Reserve room for one more recording. Raises Poison when it declares more than is allowed."""
        if declared_s is not None and self._before_s + declared_s > self._max_s:
            raise Poison(
                "audio:too_long",
                f"the header declares {self._before_s + declared_s:.0f} s; the maximum is {self._max_s:g} s",
            )
        self._grow(self._before_s + (UNDECLARED_S if expected_s is None else expected_s))

    def reach(self, seconds: float) -> None:
        """Reserve more when the current recording is longer than reserved. Raises Poison beyond what is allowed."""
        reached_s = self._before_s + seconds
        if reached_s > self._max_s:
            raise Poison("audio:too_long", f"the audio is longer than the maximum of {self._max_s:g} s")
        if reached_s > self._reserved_s + PADDING_S:
            self._grow(2 * reached_s)

    def finish(self, seconds: float) -> None:
        """End the current recording."""
        self._before_s += seconds

    def _grow(self, seconds: float) -> None:
        wanted_s = min(seconds, self._max_s)
        if wanted_s > self._reserved_s:
            self._reserve(wanted_s)
            self._reserved_s = wanted_s


@contextmanager
def _damage_is_poison() -> Iterator[None]:
    """Native decoders raise many types of error on malformed bytes."""
    try:
        yield
    except Poison:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            raise Poison("audio:decoder_memory", "decoding takes more memory than a recording may cost") from None
        raise Poison("audio:undecodable", f"the audio is damaged: {type(error).__name__}") from None


def _decode_link(link: Link, length: _Length) -> Decoded:
    """One recording of a file, its padding trimmed as its header declares."""
    source = open_source(link)
    length.expect(source.declared_s, source.expected_s)
    if link.truncated:
        raise Poison("audio:truncated", "the file is shorter than its container declares")
    mono = _resampled(source, length)
    signal = mono.signal
    duration_s = len(signal) / SAMPLING_RATE
    declared_s = source.declared_s or 0.0
    if declared_s - duration_s > MISSING_S + MISSING_SHARE * declared_s:
        raise Poison("audio:truncated", f"the header declares {declared_s:.2f} s, the file contains {duration_s:.2f} s")
    if 0.0 < duration_s - declared_s <= PADDING_S and declared_s:
        signal = signal[: round(declared_s * SAMPLING_RATE)]
    length.finish(len(signal) / SAMPLING_RATE)
    return Decoded(signal, mono.clipped, source.sampling_rate, mono.step, mono.channel)


def _resampled(source: Source, length: _Length) -> Mono:
    """The mono signal at 16 kHz, with what it was made of. Stops at the length allowed."""
    channels: Channels | None = None
    samples = 0
    for block in source.blocks:
        if not np.isfinite(block).all():
            raise Poison("audio:not_finite", "the audio contains NaN or infinite samples")
        samples += len(block)
        length.reach(samples / source.sampling_rate)
        channels = channels or Channels(source.sampling_rate, block.shape[1])
        channels.add(block)
    return (channels or Channels(source.sampling_rate, 1)).mono()

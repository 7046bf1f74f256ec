"""Divide the bytes of a memo into the recordings that they hold: files get joined, decoders read the first. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.errors import Poison
from workers.containers.boxes import claims_too_many_samples, has_several_movies, mov_links
from workers.containers.frames import amr_streams, framed_streams, frames_kind
from workers.containers.kinds import magic_kind, without_leading_tags
from workers.containers.lengths import container_end, ends_early
from workers.containers.ogg_pages import ogg_links
from workers.containers.riff_wave import declared_s, normalised, read_wave

LINKS_MAX = 1000
"""Most recordings in one file."""
STARTS = {
    "flac": re.compile(rb"fLaC[\x00\x80]\x00\x00\x22"),
    "matroska": re.compile(rb"\x1a\x45\xdf\xa3(?=.{1,64}\x42\x82)", re.DOTALL),
}
"""How a file of this kind begins: such bytes do not occur within one."""


@dataclass(frozen=True, slots=True)
class Link:
    """One recording.

    kind: FFmpeg's name of its container; declared_s: seconds that its header declares, if known here;
    truncated: whether clearly bytes are missing.
    """

    kind: str
    data: bytes
    declared_s: float | None = None
    truncated: bool = False


def links(data: bytes) -> Iterator[Link]:
    """The recordings in order, usually one. Bytes behind the last one that begin no known container are left out.

    Raises Poison `audio:undecodable` for an unknown format, for more than LINKS_MAX recordings, and for tables that
    claim more than the file holds.
    """
    count = 0
    rest: bytes = without_leading_tags(data)
    while rest:
        kind = magic_kind(rest) or (frames_kind(rest) if not count else None)
        if kind is None:
            break
        rest, found = _SPLITTERS.get(kind, _by_start)(rest, kind)
        for link in found:
            count += 1
            if count > LINKS_MAX:
                raise Poison("audio:undecodable", f"the file joins more than {LINKS_MAX} recordings")
            yield link
        rest = without_leading_tags(rest)
    if not count:
        raise Poison("audio:undecodable", "the audio format is unknown")


Split = tuple[bytes, Iterator[Link]]
"""The bytes behind the recordings, and the recordings."""


def _wave(data: bytes, kind: str) -> Split:
    wave = read_wave(data)
    if wave is None:
        return b"", iter([Link(kind, data)])
    link = Link(kind, normalised(data, wave), declared_s(data, wave), wave.truncated)
    return data[wave.end :], iter([link])


def _framed(data: bytes, kind: str) -> Split:
    return b"", (Link(kind, stream.data, None, stream.truncated) for stream in framed_streams(data, kind))


def _amr(data: bytes, kind: str) -> Split:
    return b"", (Link(kind, stream.data, None, stream.truncated) for stream in amr_streams(data))


def _ogg(data: bytes, kind: str) -> Split:
    spans = ogg_links(data)
    return b"", (_link(kind, data[start:end], lacks=lacks) for start, end, lacks in spans)


def _mov(data: bytes, kind: str) -> Split:
    def found() -> Iterator[Link]:
        for start, end in mov_links(data):
            part = data[start:end]
            if claims_too_many_samples(part):
                raise Poison("audio:undecodable", "the sample table claims more samples than the file can hold")
            if has_several_movies(part):
                raise Poison("audio:undecodable", "the file has several movie headers; only one can be read")
            yield _link(kind, part)

    return b"", found()


def _by_start(data: bytes, kind: str) -> Split:
    """Kinds whose files begin unmistakably, and kinds that declare where they end."""
    if kind in STARTS:
        starts = [match.start() for match in STARTS[kind].finditer(data)] or [0]
        starts[0] = 0
        return b"", (_link(kind, data[a:b]) for a, b in zip(starts, [*starts[1:], len(data)], strict=True))
    end = container_end(data, kind)
    return data[end:], iter([_link(kind, data[:end])])


def _link(kind: str, data: bytes, *, lacks: bool = False) -> Link:
    return Link(kind, data, None, lacks or ends_early(data, kind))


_SPLITTERS: dict[str, Callable[[bytes, str], Split]] = {
    "wav": _wave,
    "mp3": _framed,
    "aac": _framed,
    "amr": _amr,
    "ogg": _ogg,
    "mov": _mov,
}

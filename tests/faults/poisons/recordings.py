"""Poisons whose record is good and whose recording is not."""

import os
import socket
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from tests import audio_bombs
from tests.audio_files import broken, ffmpeg, sndfile, spoken, wave_header
from tests.faults.poisons.poison import Kitchen, Letter, Poison, Scored

AUDIO = Letter("audio:.*")
REFUSED = Letter("audio:uri_refused")
RATE = 16000


def recordings(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    for name, data in broken(spoken(2.0)).items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio=data),))
    for name, data in _odd().items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio=data),))
    # Good audio that nobody may read: who reads it has a score instead of the dead letter.
    outside = kitchen.folder.parent / "outside.wav"
    outside.write_bytes(kitchen.sound)
    for name, uri in {
        "outside of the prefix": outside.as_uri(),
        "up and out": (kitchen.folder / ".." / outside.name).as_uri(),
        "of an unknown scheme": "gopher://somewhere/x.wav",
        "without a scheme": "x.wav",
        "with a NUL": f"{kitchen.folder.as_uri()}/a\0b.wav",
        "a folder": kitchen.folder.as_uri(),
    }.items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", REFUSED, audio_uri=uri),))
    for name, make in {"FIFO": os.mkfifo, "socket": _socket, "link out": _link}.items():
        path = kitchen.folder / f"poison-{name.replace(' ', '-')}.wav"
        make(path)
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", REFUSED, audio_uri=path.as_uri()),))
    nowhere = (kitchen.folder / "nowhere.wav").as_uri()
    yield Poison("audio missing", (kitchen.upload("audio missing", Letter("audio:missing"), audio_uri=nowhere),))
    for name, data in _bombs().items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio=data),))
    for name, data in _padded().items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", Scored(), audio=data),))
    other = kitchen.upload("audio of another digest", Letter("audio:checksum"), sha256="0" * 64)
    yield Poison("audio of another digest", (other,))


def _bombs() -> dict[str, bytes]:
    """Files that want more than a memo may have."""
    return {
        "of 85 million samples": audio_bombs.many_claimed_samples(),
        "of 2^32 samples": audio_bombs.many_claimed_samples(2**32 - 1),
        "of 85 million samples in a fragment": audio_bombs.many_claimed_fragment_samples(),
        "of eight channels at 655 kHz": sndfile(
            np.zeros(4 * RATE, np.float32), kind="FLAC", subtype="PCM_16", rate=655_350, channels=8
        ),
        "of 64 channels at 192 kHz": audio_bombs.many_channels(),
    }


def _padded() -> dict[str, bytes]:
    """Files with much that is not the memo's sound, or with little of it for long: within the limits of a memo."""
    return {
        "with a large picture": audio_bombs.large_cover(),
        "with a large picture in an m4a": audio_bombs.large_cover_of_m4a(),
        "with many frames in its tag": audio_bombs.many_tag_frames(),
        "of 29 minutes of silence": audio_bombs.long_silence(29 * 60.0),
    }


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "outside.wav")


def _odd() -> dict[str, bytes]:
    """Files that decoders stumble over, each small."""
    sound = spoken(1.0)
    flac = BytesIO()
    soundfile.write(flac, np.zeros(RATE), RATE, format="FLAC")
    return {
        "playlist": b"#EXTM3U\nfile:///etc/passwd\n",
        "concat script": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "zeros": b"\0" * 4096,
        "id3 alone": b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        "ogg without packets": b"OggS" + b"\0" * 200,
        "wav of no channels": wave_header(3200)[:22] + b"\0\0" + wave_header(3200)[24:] + b"\0" * 3200,
        "wav of 1 Hz": wave_header(3200, rate=1) + b"\0" * 3200,
        "wav of 65535 channels": wave_header(64)[:22] + b"\xff\xff" + wave_header(64)[24:] + b"\0" * 64,
        "flac without frames": flac.getvalue()[:60],
        "m4a without samples": ffmpeg(sound, container="ipod", codec="aac")[:48],
        "matroska head": b"\x1a\x45\xdf\xa3" + b"\x01" + b"\xff" * 60,
        "boxes in boxes": _boxes(4000),
        "box of 2^63 bytes": struct.pack(">I4sQ", 1, b"moov", 2**63 - 1) + b"\0" * 64,
    }


def _boxes(depth: int) -> bytes:
    """MP4 boxes, each in the one before."""
    heads = [struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth)]
    return struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0) + b"".join(heads)

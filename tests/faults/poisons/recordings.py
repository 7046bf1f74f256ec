"""Poisons whose record is good and whose recording is not."""

import os
import socket
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from tests.audio_files import broken, ffmpeg, spoken, wave_header
from tests.faults.poisons.bombs import claiming, covered, many_frames, noisy_vorbis, silent_flac
from tests.faults.poisons.poison import Kitchen, Letter, Poison, Scored

AUDIO = Letter("audio:.*")
RATE = 16000


def recordings(kitchen: Kitchen) -> Iterator[Poison]:
    """All of them."""
    for name, data in broken(spoken(2.0)).items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio=data),))
    for name, data in _odd().items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio=data),))
    for name, uri in {
        "missing": (kitchen.folder / "nowhere.wav").as_uri(),
        "outside of the prefix": "file:///etc/hostname",
        "up and out": (kitchen.folder / ".." / ".." / "x.wav").as_uri(),
        "of an unknown scheme": "gopher://somewhere/x.wav",
        "without a scheme": "x.wav",
        "with a NUL": f"{kitchen.folder.as_uri()}/a\0b.wav",
        "a folder": kitchen.folder.as_uri(),
    }.items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio_uri=uri),))
    for name, make in {"FIFO": os.mkfifo, "socket": _socket, "link out": _link}.items():
        path = kitchen.folder / f"poison-{name.replace(' ', '-')}.wav"
        make(path)
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, audio_uri=path.as_uri()),))
    for name, data in _bombs().items():
        yield Poison(f"audio {name}", (kitchen.upload(f"audio {name}", AUDIO, Scored(), audio=data),))
    other = kitchen.upload("audio of another digest", AUDIO, sha256="0" * 64)
    yield Poison("audio of another digest", (other,))


def _bombs() -> dict[str, bytes]:
    """Files that want more than they give: refused by name, or scored within the limits of a memo."""
    return {
        "of 85 million samples": claiming(),
        "of 2^32 samples": claiming(2**32 - 1),
        "with a large picture": covered(8000),
        "with many frames in its tag": many_frames(20_000),
        "of eight channels at 655 kHz": silent_flac(4, rate=655_350, channels=8),
        "of 64 channels at 192 kHz": noisy_vorbis(1, rate=96_000, channels=64),
        "of 29 minutes of silence": silent_flac(29 * 60),
    }


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


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

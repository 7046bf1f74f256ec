"""The audio of the doctor's memo: a simulated voice under a prefix that workers may read, and its removal."""

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from schemas.errors import ConfigurationError
from schemas.settings import Settings

SECONDS = 10.0
NOWHERE = (
    "no prefix of UNDERTONE_AUDIO_PREFIXES can be written from here: put a recording where workers read it, and give "
    "its URI with --audio-uri"
)


@dataclass(frozen=True, slots=True)
class PlacedAudio:
    """uri: for workers; digest: SHA-256 (hex) of its bytes, None for audio of somebody else; remove: idempotent."""

    uri: str
    digest: str | None
    remove: Callable[[], None]


def given_audio(uri: str) -> PlacedAudio:
    """Audio that is there already and stays."""
    return PlacedAudio(uri, None, lambda: None)


def place_voice(settings: Settings, name: str) -> PlacedAudio:
    """Write a memo in a simulated voice under the first prefix that takes it. Raises ConfigurationError without one."""
    data = _voice()
    for prefix in settings.audio_prefixes:
        with suppress(Exception):  # storage libraries raise errors of their own; the next prefix may take it
            uri, remove = _written(prefix, f"{name}.wav", data)
            return PlacedAudio(uri, sha256(data).hexdigest(), remove)
    raise ConfigurationError(NOWHERE)


def _voice() -> bytes:
    import numpy as np
    import soundfile

    from workers.audio.memo import SAMPLING_RATE
    from workers.simulation.cohort import random_voice
    from workers.simulation.source_filter import speak

    rng = np.random.default_rng(1)
    signal, _ = speak(random_voice(rng), SECONDS, rng)
    file = io.BytesIO()
    soundfile.write(file, signal, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _written(prefix: str, name: str, data: bytes) -> tuple[str, Callable[[], None]]:
    """Write the object; its URI, and what removes it. Raises for a prefix that takes none."""
    import fsspec

    from workers.storage.uri import HTTP, place

    where = place(prefix)
    if where.scheme in HTTP:
        raise ConfigurationError("objects of an HTTP server are written in another way")
    if where.scheme == "file":
        path = Path(*where.parts) / name
        with path.open("xb") as file:
            file.write(data)
        path.chmod(0o644)  # workers may be another user
        return path.as_uri(), lambda: path.unlink(missing_ok=True)
    system: Any
    system, target = fsspec.core.url_to_fs(f"{where.url}/{name}")
    system.pipe_file(target, data)

    def remove() -> None:
        with suppress(FileNotFoundError):
            system.rm_file(target)

    return f"{where.url}/{name}", remove

"""Load a memo from an event or a file: read, decode, assess."""

import stat
from pathlib import Path

from schemas.errors import Poison
from schemas.events import FloatArray, MemoUploaded, Quality
from schemas.settings import Settings
from workers.audio.decoder_pool import DECODERS
from workers.audio.memo import Memo, Reserve, no_reservation
from workers.audio.quality import Thresholds, assess
from workers.audio.storage import AudioStore


def load_memo(event: MemoUploaded, store: AudioStore, settings: Settings, reserve: Reserve = no_reservation) -> Memo:
    """Read, decode and assess the audio of an event. Raises what AudioStore.read and DecoderPool.decode raise.

    reserve: as in `decode`.
    """
    signal, quality = load_bytes(store.read(event.audio_uri, event.sha256), settings, reserve)
    return Memo(event, signal, quality)


def load_file(path: Path, settings: Settings) -> tuple[FloatArray, Quality]:
    """Signal and quality of a local file that the caller trusts. Raises Poison, also for a missing file."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Poison("audio:missing", "the path is not a file")
        if status.st_size > settings.audio_max_bytes:
            raise Poison(
                "audio:too_large", f"the file has {status.st_size} bytes; the maximum is {settings.audio_max_bytes}"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise Poison("audio:missing", f"the file cannot be read: {type(error).__name__}") from None
    return load_bytes(data, settings)


def load_bytes(data: bytes, settings: Settings, reserve: Reserve = no_reservation) -> tuple[FloatArray, Quality]:
    """Signal and quality of an encoded memo, decoded in a child process. Raises as DecoderPool.decode does."""
    decoded = DECODERS.decode(data, max_s=settings.audio_max_s, min_s=settings.audio_min_s, reserve=reserve)
    return decoded.signal, assess(decoded, Thresholds.of(settings))

"""Files of a command line: audio files from paths, which are files and folders of files; and what is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from schemas.errors import Stop

ENDINGS = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".amr", ".3gp", ".caf", ".mka"}
)


def audio_files(paths: list[Path]) -> list[Path]:
    """Every file given, with any suffix, and in folders every file with a suffix of audio, in order."""
    found = []
    for path in paths:
        if path.is_dir():
            found += sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() in ENDINGS)
        else:
            found.append(path)
    return found


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """The block writes this file. Raises Stop, which names it, when the disk is full or refuses."""
    try:
        yield
    except OSError as error:
        raise Stop(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error


def replace_file(path: Path, text: str) -> None:
    """Write a file as a whole: whoever reads it meanwhile reads the one before. Raises Stop as `writing`."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
    with writing(path):
        try:
            partial.write_text(text)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

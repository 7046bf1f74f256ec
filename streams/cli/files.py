"""Paths as people give them: files, and folders of files."""

from pathlib import Path

ENDINGS = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".webm", ".amr", ".3gp", ".caf", ".mka"}
)


def audio_files(paths: list[Path]) -> list[Path]:
    """Every file named, whatever its ending, and in folders every file with an ending that audio has, in order."""
    found = []
    for path in paths:
        if path.is_dir():
            found += sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() in ENDINGS)
        else:
            found.append(path)
    return found

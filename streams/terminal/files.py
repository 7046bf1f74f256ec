"""Audio files from paths on the command line: files, and folders of files."""

from pathlib import Path

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

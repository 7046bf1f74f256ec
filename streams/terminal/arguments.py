"""What the arguments of commands must be, checked while they are read: before a library or a model is loaded.

Each function is the `parser` of an option or the `callback` of an argument. It returns the value, or raises
typer.BadParameter with what is wrong and what to do; typer names the option.
"""

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import typer

from schemas.bundle_manifest import MANIFEST
from schemas.events import Modality
from schemas.pipeline import MODALITIES
from streams.terminal.files import ENDINGS, audio_files
from streams.terminal.parse_time import moment, since_moment

PLOTS = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".eps")
AHEAD = timedelta(days=1)
"""How far a clock may be ahead: farther, the stream leaves a memo out of drift detection."""
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(@[\w.-]+)?")
"""A model on the hub, with its owner and its revision or without."""


def pseudonym(text: str) -> str:
    """The pseudonym of a user, within the limits of every record."""
    from schemas.limits import ID

    return text if ID.accepts(text) else _refuse(f"the pseudonym of a user must be {ID.rule}")


def identifier(text: str) -> str:
    """An id or the beginning of one: an empty one would be the beginning of all."""
    return text if text.strip() else _refuse("is empty: give an id or its beginning")


def one_of(*names: str) -> Callable[[str], str]:
    """One of these names."""

    def parse(text: str) -> str:
        return text if text in names else _refuse(f"{text!r} is not one of {', '.join(names)}")

    return parse


def modality(text: str) -> Modality:
    """A modality that a worker extracts."""
    return Modality(one_of(*MODALITIES)(text))


EXTRACTED = "|".join(MODALITIES)
"""What `modality` accepts, for help."""


def audio_paths(paths: Sequence[Path] | None) -> Sequence[Path] | None:
    """Paths of which at least one is a file that can be read, or a folder with audio."""
    if not paths or any(_readable(path) for path in audio_files([*paths])):
        return paths
    first = paths[0]
    if not first.is_dir():
        _refuse_input(first)
    return _refuse(f"{first} holds no audio: give audio files, or a folder with {', '.join(sorted(ENDINGS))} files")


def some_path(text: str) -> Path:
    """A path: an empty one would be the current folder."""
    return Path(text) if text else _refuse("an empty path: name a file or a folder")


def _readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


def _refuse_input(path: Path) -> NoReturn:
    """Say why a file cannot be read."""
    if not path.exists():
        _refuse(f"{path} does not exist: check its name and the current folder")
    if not path.is_file():
        _refuse(f"{path} is no regular file")
    _refuse(f"{path} cannot be read: permission denied")


def input_file(text: str) -> Path:
    """A file that can be read."""
    path = Path(text)
    return path if _readable(path) else _refuse_input(path)


def input_folder(text: str) -> Path:
    """A folder that can be read."""
    path = Path(text)
    if not path.exists():
        _refuse(f"{path} does not exist: check its name and the current folder")
    if not path.is_dir():
        _refuse(f"{path} is no folder")
    return path if os.access(path, os.R_OK | os.X_OK) else _refuse(f"{path} cannot be read: permission denied")


def bundle_folder(text: str) -> Path:
    """The folder of a model bundle: with a manifest, and all the files that it lists."""
    path = input_folder(text)
    fault = bundle_fault(path)
    return path if fault is None else _refuse(f"{path} is no model bundle: {fault}; `undertone train` writes one")


def bundle_fault(path: Path) -> str | None:
    """What keeps a folder from being a bundle, as far as its names tell; None where they tell nothing."""
    if not path.is_dir():
        return "it is no folder" if path.exists() else "there is no such folder"
    try:
        files = json.loads((path / MANIFEST).read_bytes())["files"]
        missing = next((name for name in files if not (path / name).is_file()), None)
    except OSError as error:
        return f"{MANIFEST} cannot be read ({error.strerror})"
    except (ValueError, TypeError, KeyError, RecursionError):
        return f"{MANIFEST} is not the manifest of a bundle"
    return None if missing is None else f"{missing} is missing"


def output_file(*endings: str) -> Callable[[str], Path]:
    """A file that can be written, in a folder that exists. A name without an ending gets the first one."""

    def parse(text: str) -> Path:
        path = _with_ending(Path(text), endings)
        if not path.parent.is_dir():
            _refuse(f"{path.parent} is no folder: create it, or name a file in one that exists")
        _check_writable(path, path.parent)
        return path

    return parse


def new_file(ending: str) -> Callable[[str], Path]:
    """A file that is not there yet, in a folder that exists and can be written. Without an ending it gets this one."""

    def parse(text: str) -> Path:
        path = output_file(ending)(text)
        if path.exists() or path.is_symlink():
            _refuse(f"{path} exists, and nothing is overwritten: name another file, or move this one away")
        return path

    return parse


def plot_file(text: str) -> Path:
    """A plot that can be written; its folder is created."""
    path = _with_ending(Path(text), PLOTS)
    _check_writable(path, _nearest_folder(path.parent))
    return path


def output_folder(text: str) -> Path:
    """A folder in which files can be written; it is created."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        _refuse(f"{path} is a file: name a folder")
    _check_writable(path / "x", _nearest_folder(path))
    return path


def _with_ending(path: Path, endings: Sequence[str]) -> Path:
    if not path.name or path.is_dir():
        _refuse(f"{path} is a folder: name a file in it")
    if not path.suffix:
        path = path.with_name(path.name + endings[0])
    if path.suffix.lower() not in endings:
        _refuse(f"{path.name} does not end in {', '.join(endings)}")
    return path


def _nearest_folder(path: Path) -> Path:
    """The folder itself, or the one that exists in which it would be created."""
    nearest = next(each for each in (path, *path.absolute().parents) if each.exists())
    return nearest if nearest.is_dir() else _refuse(f"{nearest} is no folder, so nothing can be written into it")


def _check_writable(path: Path, folder: Path) -> None:
    """Raises unless a file can be created in the folder, or the one that exists there be written."""
    if path.exists() and not os.access(path, os.W_OK):
        _refuse(f"{path} cannot be written: permission denied")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _refuse(f"{folder} cannot be written to: {error.strerror}; name a file elsewhere")


def encoder_source(text: str) -> str:
    """A Wav2Vec2 checkpoint: a folder with its configuration, or a name on the hub, with `@revision` or without."""
    path = Path(text).expanduser()
    if (path / "config.json").is_file():
        return text
    if path.exists():
        _refuse(f"{text} has no config.json: give the folder of a Wav2Vec2 checkpoint, or a name on the hub")
    if not _HUB_NAME.fullmatch(text):
        _refuse(f"{text or 'an empty name'} is neither a folder nor a name on the hub such as facebook/wav2vec2-base")
    return text


def http_address(text: str) -> str:
    """The address of a receiver. It may be a secret, so it is not repeated."""
    for each in text.split(","):
        try:
            parts = urlsplit(each.strip())
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            _refuse("is no address such as https://alerts.example/hook")
    return text


def positive(text: str) -> float:
    """A finite number above zero."""
    try:
        number = float(text)
    except ValueError:
        _refuse(f"{text!r} is not a number")
    return number if math.isfinite(number) and number > 0 else _refuse(f"{text} is not a number above 0")


def past_moment(text: str) -> datetime:
    """A time that is not in the future, but for a clock that is a little ahead."""
    return _not_ahead(moment(text))


def past_since_moment(text: str) -> datetime:
    """A time that is not in the future, or an age."""
    return _not_ahead(since_moment(text))


def _not_ahead(time: datetime) -> datetime:
    if time > datetime.now(UTC) + AHEAD:
        _refuse(f"{time:%Y-%m-%d %H:%M} UTC is in the future")
    return time if time.year >= 1970 else _refuse(f"{time:%Y-%m-%d} is before 1970")


def _refuse(why: str) -> NoReturn:
    raise typer.BadParameter(why)

"""Hides settings in the environment from processes that have no use for them, and secrets from every environment."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from schemas.environment import PLAIN, PREFIX, SECRETS_DIR
from schemas.settings import is_setting
from streams.local.private_files import private_folder, write_private


@contextmanager
def settings_hidden(kept: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Take every setting out of the environment while the context is open; gives their names, in order.

    kept: variables that stay. The folder of secrets, `UNDERTONE_SECRETS_DIR`, is hidden as well.
    """
    hidden = {name: os.environ.pop(name) for name in sorted(os.environ) if is_setting(name) and name not in kept}
    try:
        yield tuple(hidden)
    finally:
        os.environ.update(hidden)


def secret_files() -> dict[str, Path]:
    """The files of the folder of secrets, by the variable that each sets; none without such a folder."""
    folder = os.environ.get(SECRETS_DIR)
    if folder is None or not Path(folder).is_dir():
        return {}
    return {_variable(path.name): path.absolute() for path in sorted(Path(folder).iterdir()) if path.is_file()}


def with_secrets_in_files(environment: Mapping[str, str], files: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """An environment for a process that reads from files what this one has read from them.

    Crash reports, the programs that a process starts and whoever lists processes may see its environment. So each
    value that is that of a file is copied into `folder`, which is made or emptied, and becomes the process's folder of
    secrets: it holds no other role's. A value that differs from its file, because this process changed it, stays.
    """
    private_folder(folder)
    for stale in folder.iterdir():
        stale.unlink()
    given = dict(environment)
    for name in environment.keys() & files.keys():
        if files[name].read_text().strip() == environment[name]:
            # No link: what reads settings follows none that leads out of the folder.
            write_private(folder / name.lower(), given.pop(name).encode())
    return given if len(given) == len(environment) else {**given, SECRETS_DIR: str(folder.absolute())}


def _variable(name: str) -> str:
    """Of a file's name, in any case; a variable without our prefix may be written with it."""
    plain = name.upper().removeprefix(PREFIX)
    return plain if plain in PLAIN else name.upper()

"""The folder of passwords and certificates of a compose installation: who may read what of it.

    kept/                     what is made once and never again: passwords, the authority. For the operator alone.
    kafka/ redis/ agents/ …   what one service reads, made anew from the above at every start. For that service alone.
    keyset/                   what wraps the store key of sealed data, made and replaced by Undertone, never made anew.

Beside them an operator puts files of settings, each named for its variable.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from schemas.errors import ConfigurationError
from streams.local.private_files import FOLDER_MODE, write_private
from workers.service.private_files import FILE_MODE

KEPT = "kept"
OTHERS = 0o077
"""What a mode allows everybody but its owner."""


class SecretsFolder:
    """A folder that only its owner reads.

    operator: user id of whoever looks after it; shown: its path for that person, which a container does not see.
    """

    def __init__(self, root: Path, operator: int, shown: str) -> None:
        self.root, self.operator, self.shown = root, operator, shown.rstrip("/")

    @classmethod
    def open(cls, root: Path, operator: int, shown: str) -> Self:
        """The folder, made where there is none, with its modes as they must be.

        Raises ConfigurationError when others could read what is in it, or when something in it is not what it seems.
        """
        root = root.resolve()
        folder = cls(root, operator, shown)
        with folder._permitted(root):
            root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            folder._check()
        folder._own(root, operator)
        return folder

    def kept(self, name: str, make: Callable[[], str]) -> str:
        """A secret that is made the first time and stays. name: of its file in `kept/`."""
        path = self._folder(KEPT, self.operator) / name
        if not path.exists():
            self._write(path, make(), self.operator)
        return path.read_text().strip()

    def keep(self, name: str, text: str) -> None:
        """Keep this text from now on, in place of what `kept` gave. name: of its file in `kept/`."""
        self._write(self._folder(KEPT, self.operator) / name, text, self.operator)

    def leave(self, service: str, user: int) -> None:
        """A folder that belongs to a user with all that is in it, made and replaced by processes of ours alone.

        What root's commands made there is given to the user, such as a new key after `undertone keys rotate`.
        """
        for path in _below(self._folder(service, user)):
            self._own(path, user)

    def give(self, service: str, user: int, files: Mapping[str, str]) -> None:
        """Make the files of a service exactly these, for the user that it runs as; what it had besides goes."""
        folder = self._folder(service, user)
        for path in folder.iterdir():
            if path.name not in files:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, text in files.items():
            path = folder / name
            if not path.exists() or path.read_text() != text:
                self._write(path, text, user)
            self._own(path, user)

    def has(self, service: str, name: str) -> str:
        """What a file of a service holds; empty where it has none."""
        path = self.root / service / name
        return path.read_text() if path.is_file() else ""

    def given(self) -> dict[str, str]:
        """The files that the operator put here, by name. Raises ConfigurationError for one that is no text."""
        return {path.name: self._text(path) for path in sorted(self.root.iterdir()) if path.is_file()}

    def _text(self, path: Path) -> str:
        try:
            return path.read_text()
        except UnicodeDecodeError:
            raise ConfigurationError(
                f"{self.named(path)} is no text: settings and the files that they name are; take it out of the folder"
            ) from None

    def _folder(self, name: str, user: int) -> Path:
        folder = self.root / name
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        self._own(folder, user)
        return folder

    def _write(self, path: Path, text: str, user: int) -> None:
        # Owned by who writes it until it is whole.
        write_private(path, text.encode())
        self._own(path, user)

    def _own(self, path: Path, user: int) -> None:
        """Give a path to a user, and to nobody else. Without the rights of root everything stays this user's."""
        with self._permitted(path):
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
            if os.geteuid() == 0:
                os.chown(path, user, -1)

    @contextmanager
    def _permitted(self, path: Path) -> Iterator[None]:
        try:
            yield
        except PermissionError:
            raise ConfigurationError(
                f"{self.named(path)} belongs to another user: run this as root, as compose does, or give the folder to "
                f"this user with `chown -R $(id -u) {self.shown}`"
            ) from None

    def _check(self) -> None:
        """Raises ConfigurationError when anybody else could have read or written what the folder holds."""
        for path in (self.root, *_below(self.root)):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ConfigurationError(
                    f"{self.named(path)} is neither a file nor a folder: put the file itself there, not a link to it"
                )
            # An empty folder has told nobody anything: the engine makes them before the first start.
            if mode & OTHERS and (stat.S_ISREG(mode) or any(each.is_file() for each in _below(path))):
                raise ConfigurationError(
                    f"{self.named(path)} can be read by other users of this machine (mode {stat.S_IMODE(mode):04o}): "
                    f"`chmod -R go= {self.shown}`, and replace what they may have read; without `{self.shown}/{KEPT}` "
                    "every password and certificate is made anew"
                )

    def named(self, path: Path) -> str:
        """A path as the operator sees it."""
        return str(Path(self.shown) / path.relative_to(self.root))


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)

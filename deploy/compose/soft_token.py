"""The SoftHSM2 token of a compose installation: made once, with a PIN that is in no argument and no environment.

Python's PKCS#11 package initializes no token, so this calls the library itself. The token is made aside and moved when
it is whole. Nobody has the PIN of its security officer, who could set another one for its user.
"""

import ctypes
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError
from streams.local.private_files import FOLDER_MODE, write_private

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
"""Where Debian's package has it, in the images as well."""
TOKEN = "undertone"
"""Label of the token, and of its key."""
VARIABLE, CONFIGURED = "SOFTHSM2_CONF", "softhsm2.conf"
"""Where SoftHSM finds its configuration, and the file's name."""
CONFIGURATION = "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n"
LABEL_BYTES = 32
SERIAL_SESSION, RW_SESSION, SECURITY_OFFICER = 4, 2, 0
"""Values of PKCS#11 2.40: CKF_SERIAL_SESSION, CKF_RW_SESSION, CKU_SO."""


def folder_of(configuration: Path) -> Path:
    """The folder of tokens that a configuration names.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w+") as file:
    ...     _ = file.write(CONFIGURATION.format("/run/keyset/tokens")), file.flush()
    ...     folder_of(Path(file.name)).as_posix()
    '/run/keyset/tokens'
    """
    pairs = (line.partition("=") for line in configuration.read_text().splitlines())
    return next(Path(value.strip()) for name, _, value in pairs if name.strip() == "directories.tokendir")


def make_token(folder: Path, label: str, pin: str, library: str = SOFTHSM) -> bool:
    """Make the token in a folder of its own, unless one is there; whether it was made. Raises ConfigurationError."""
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    aside = folder / ".new"
    if any(path != aside for path in folder.iterdir()):
        return False
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=FOLDER_MODE)
    write_private(aside / CONFIGURED, CONFIGURATION.format(aside).encode())
    with _configured(aside / CONFIGURED):
        _initialize(library, label.encode(), pin.encode())
    (made,) = (path for path in aside.iterdir() if path.is_dir())
    made.rename(folder / made.name)
    shutil.rmtree(aside)
    return True


def _initialize(library: str, label: bytes, pin: bytes) -> None:
    """Initialize the first free slot."""
    try:
        token = ctypes.CDLL(library)
    except OSError:
        raise ConfigurationError(
            "SoftHSM2 is not installed: its package is `libsofthsm2`, which our images have"
        ) from None

    def call(name: str, *arguments: object) -> None:
        if code := getattr(token, name)(*arguments):
            raise ConfigurationError(f"SoftHSM2 made no token: {name} answers 0x{code:08x}")

    officer, slot, count, session = secrets.token_hex(16).encode(), *(ctypes.c_ulong(number) for number in (0, 1, 0))
    call("C_Initialize", None)
    try:
        call("C_GetSlotList", ctypes.c_ubyte(0), ctypes.byref(slot), ctypes.byref(count))
        call("C_InitToken", slot, officer, ctypes.c_ulong(len(officer)), label.ljust(LABEL_BYTES))
        flags = ctypes.c_ulong(SERIAL_SESSION | RW_SESSION)
        call("C_OpenSession", slot, flags, None, None, ctypes.byref(session))
        call("C_Login", session, ctypes.c_ulong(SECURITY_OFFICER), officer, ctypes.c_ulong(len(officer)))
        call("C_InitPIN", session, pin, ctypes.c_ulong(len(pin)))
    finally:
        token.C_Finalize(None)


@contextmanager
def _configured(path: Path) -> Iterator[None]:
    """While the library reads this configuration."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before

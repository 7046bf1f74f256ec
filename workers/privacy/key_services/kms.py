"""What wraps the store keys of the key directory: a key service, behind four calls.

A service has versions of one key. `wrap` uses the newest, `unwrap` the one that a blob names, and a blob of a version
that was destroyed opens nowhere. `UNDERTONE_KMS` says which service it is.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from importlib import import_module
from typing import NamedTuple, Protocol

from schemas.errors import ConfigurationError, UndertoneError
from schemas.settings import Settings

KEYSET = "keyset.json"
"""The local keyset in UNDERTONE_HOME."""


class Wrapped(NamedTuple):
    """A key, encrypted by a version of the key service's key."""

    version: str
    blob: bytes


class Destroyed(NamedTuple):
    """The receipt of a version that was destroyed. at: when the service removed it or will, in UTC."""

    version: str
    at: datetime
    service: str


class VersionDestroyed(UndertoneError):
    """The key service no longer has the version that a blob names."""


class Kms(Protocol):
    """A key service. Every call may raise Transient while it does not answer, and ConfigurationError."""

    @property
    def name(self) -> str:
        """Kind of the service, such as `aws-kms`; no address."""

    def create(self) -> None:
        """Make the first version where there is none; keeps what is there."""

    def wrap(self, plain: bytes, context: bytes) -> Wrapped:
        """`plain` (at most 4 KiB) encrypted with the newest version; it opens with the same context only."""

    def unwrap(self, wrapped: Wrapped, context: bytes) -> bytes:
        """What was wrapped. Raises VersionDestroyed, and ConfigurationError for a blob or context that is not its."""

    def rotate(self) -> str:
        """Make a new version, which wraps from now on; its name."""

    def destroy(self, version: str) -> Destroyed:
        """Remove a version for ever, or have it removed; repeated, it gives the receipt again."""

    def close(self) -> None:
        """End connections and sessions."""


_MAKERS: Mapping[str, str] = {
    "local": "workers.privacy.key_services.local_keyset",
    "pkcs11": "workers.privacy.key_services.pkcs11_kms",
    "aws-kms": "workers.privacy.key_services.aws_kms",
}
"""By scheme of UNDERTONE_KMS: the module whose `make(rest)` makes the client. Each loads its own library."""


def make_kms(settings: Settings) -> Kms:
    """The key service of the settings; it is not called yet. Raises ConfigurationError."""
    text = settings.kms or f"local:{settings.home / KEYSET}"
    scheme, _, rest = text.partition(":")
    try:
        make: Callable[[str], Kms] = import_module(_MAKERS[scheme]).make
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"UNDERTONE_KMS: the packages of {scheme} are missing: `pip install 'undertone-voice[{scheme}]'`"
        ) from None
    return make(rest)

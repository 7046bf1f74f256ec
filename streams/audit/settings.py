"""What the settings say of the audit trail."""

import secrets
from contextlib import suppress
from pathlib import Path

from schemas.audit_keys import AuditKeys
from schemas.audit_settings import SHORTEST_KEY
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from workers.service.private_files import create_private

KEY_FILE = "audit.key"
"""In UNDERTONE_HOME: the key of a trail on one machine, made where data is sealed and no key is set."""


def keys_of(settings: Settings) -> AuditKeys:
    """The keys of the trail: those of UNDERTONE_AUDIT_KEY; where data is sealed and none is set, of a file in the home.

    Where data is in clear, a trail without a key names pseudonyms. Raises ConfigurationError for a file that cannot be
    used.
    """
    if settings.audit_key is not None:
        return AuditKeys.of(settings.audit_key.get_secret_value().encode())
    return AuditKeys() if settings.seal == "off" else AuditKeys.of(_kept(settings.home / KEY_FILE))


def _kept(path: Path) -> bytes:
    """The key in a file, which is made if it is missing: whole or not at all, and once for all processes."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                create_private(path, secrets.token_hex(SHORTEST_KEY).encode())
        key = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"UNDERTONE_HOME: its {KEY_FILE} cannot be used ({error.strerror})") from error
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(f"UNDERTONE_HOME: its {KEY_FILE} is damaged: restore it, or set UNDERTONE_AUDIT_KEY")
    return key

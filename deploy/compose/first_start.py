"""Passwords and certificates of a compose installation: made at the first start, kept afterwards.

    python -m deploy.compose.first_start [FOLDER [SHOWN]]      # ./secrets; compose runs it before everything else

Every service gets a folder of its own with what it reads, for the user that it runs as: it sees no other's password.
What the operator puts into FOLDER by the name of a variable goes to the roles that read this setting, in place of what
is made here. With servers of your own (KAFKA_BOOTSTRAP, REDIS_URL) nothing is made for those. With UNDERTONE_SEAL=on
data is sealed from then on, also when a later start does not say so; `off` ends that. With
UNDERTONE_KEY_SERVICE=softhsm a token of SoftHSM2 wraps the store key in place of a file, from the start that begins it.
SHOWN is the path of FOLDER for the operator, where this runs in a container.
"""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import certifi

from deploy.compose.secrets_folder import KEPT, SecretsFolder
from deploy.compose.server_files import (
    ADMIN,
    Sealed,
    certificate_settings,
    database_settings,
    kafka_client_properties,
    kafka_properties,
    kafka_settings,
    purpose_settings,
    redis_settings,
    sealing_settings,
    users_acl,
)
from deploy.compose.soft_token import CONFIGURATION, CONFIGURED
from deploy.kafka.certificates import THIS_MACHINE, Signer, split
from schemas.environment import PLAIN, PREFIX, unknown_variables
from schemas.errors import ConfigurationError
from schemas.key_grants import KEY_GRANTS
from schemas.setting_types import Role
from schemas.settings import Settings, is_setting, roles_of

USERS_ACL = Path(__file__).parent.parent / "redis" / "users.acl"
MOUNTED = "/run/secrets"
"""Where a service finds its folder; ours at `undertone`, whatever their role."""
OURS = f"{MOUNTED}/undertone"
KEYSET, KEYSET_FILE, KEYSET_MOUNTED = "keyset", "keyset.json", "/run/keyset"
"""Folder and file of the local key service, and where services find the folder."""
TOKENS = "tokens"
"""Folder of the token in that folder, where a token is used."""
UNDERTONE = 10001
KEY_SERVER = "key-server"
SERVERS = {
    "kafka": 1000, "redis": 999, "postgres": 999, "registry": UNDERTONE,
    "alertmanager": 65534, "prometheus": 65534, "grafana": 472,
}  # fmt: skip
"""Servers, each with a certificate, and the user ids that their images run as."""
INSIDE = {
    "kafka": "kafka:9092", "redis": "redis:6379", "database": "postgres:5432", "keys": "postgres:5432",
    "purposes": f"{KEY_SERVER}:8471",
}  # fmt: skip
"""Where services find the servers."""
MACHINE = {
    "kafka": "127.0.0.1:29092", "redis": "127.0.0.1:6379", "database": "127.0.0.1:5432", "keys": "127.0.0.1:5432"
}  # fmt: skip
"""Where programs of this machine find them: what compose publishes."""
AUTHORITY_LIVES, CERTIFICATE_LIVES, RENEWED_BEFORE = (timedelta(days=days) for days in (3650, 730, 180))
KEY_SERVICES = ("local", "softhsm")
PIN = "token-pin"
"""File of the token's PIN in `kept/`."""
PASSWORD = re.compile(r"[A-Za-z0-9_-]{24,96}")


@dataclass(frozen=True, slots=True)
class Reader:
    """A process of ours: which settings it reads, and which servers it reaches, from inside or from this machine.

    Who reaches `keys` has the key directory; who reaches `purposes` asks the key server, with a certificate of its own.
    """

    role: Role
    reaches: tuple[str, ...]
    from_machine: bool = False


READERS = {
    "rights": Reader(Role.COMMAND_LINE, ("kafka",)),
    "topics": Reader(Role.COMMAND_LINE, ("kafka",)),
    "keys": Reader(Role.COMMAND_LINE, ("keys",)),
    KEY_SERVER: Reader(Role.KEYS, ("kafka", "keys")),
    "acoustic": Reader(Role.WORKER, ("kafka", "purposes")),
    "embedding": Reader(Role.WORKER, ("kafka", "purposes")),
    "agents": Reader(Role.AGENTS, ("kafka", "redis", "purposes")),
    "migrate": Reader(Role.HISTORY, ("database",)),
    "history": Reader(Role.HISTORY, ("kafka", "database", "purposes")),
    # It erases people as well.
    "dashboard": Reader(Role.DASHBOARD, ("kafka", "redis", "database", "keys"), from_machine=True),
    "bridge": Reader(Role.BRIDGE, ("kafka", "purposes")),
    # Commands of whoever looks after the installation, run on this machine: an erasure reaches every place.
    "operator": Reader(Role.COMMAND_LINE, ("kafka", "redis", "database", "keys"), from_machine=True),
}
KAFKA_USERS = (
    *(name for name, reader in READERS.items() if "kafka" in reader.reaches and name != "rights"),
    "registry",
)


def make(folder: SecretsFolder, now: datetime, own: Mapping[str, str]) -> list[str]:
    """Make what is missing and give every service its files; sentences about what the operator should know.

    own: addresses of servers of the operator's, and whether to seal, by variable. Raises ConfigurationError for what
    cannot be used.
    """
    authority = _authority(folder)
    passwords = {user: _password(folder, f"kafka-{user}") for user in (ADMIN, *KAFKA_USERS)}
    redis = {user: _password(folder, f"redis-{user}") for user in ("undertone", "undertone-erasure", "probe")}
    database, keys = _password(folder, "postgres-undertone"), _password(folder, "postgres-undertone-keys")
    asked = _of_operator(folder.given(), Role.ALL).get("UNDERTONE_SEAL", own.get("UNDERTONE_SEAL", ""))
    sealed = _sealed(folder, asked, own.get("UNDERTONE_KEY_SERVICE", ""), keys)
    for server, user in SERVERS.items():
        files = f"{MOUNTED}/{server}"
        mine = {
            "kafka": {
                "server.properties": kafka_properties(passwords, files, "/var/lib/kafka/data"),
                "admin.properties": kafka_client_properties(ADMIN, passwords[ADMIN], files),
            },
            "redis": {"users.acl": users_acl(USERS_ACL.read_text(), redis), "probe": redis["probe"]},
            "postgres": {"admin": _password(folder, "postgres-admin"), "undertone": database, "keys": keys},
            "grafana": {"password": _password(folder, "grafana")},
            "registry": {"environment": f"export KARAPACE_SASL_PLAIN_PASSWORD={passwords['registry']}\n"},
        }
        certified = _certified(folder, authority, server, now, server)
        folder.give(server, user, {"ca.pem": authority.certificate, **certified, **mine.get(server, {})})
    folder.leave(KEYSET, UNDERTONE)
    _give_ours(folder, authority, passwords, redis["undertone"], database, sealed, own, now)
    return [*unknown_variables(folder.given(), Settings.model_fields), *_ending(authority, now)]


def _give_ours(
    folder: SecretsFolder,
    authority: Signer,
    passwords: Mapping[str, str],
    redis: str,
    database: str,
    sealed: Sealed | None,
    own: Mapping[str, str],
    now: datetime,
) -> None:
    given = folder.given()
    trusted = {
        "ca.pem": authority.certificate,
        "authorities.pem": Path(certifi.where()).read_text() + authority.certificate,
    }
    for name, reader in READERS.items():
        user = ADMIN if name == "rights" else name
        # Commands run beside this folder, the roles in containers.
        ca = f"{folder.shown}/{name}/ca.pem" if name == "operator" else f"{OURS}/ca.pem"
        keyset = f"{folder.shown}/{KEYSET}" if name == "operator" else KEYSET_MOUNTED
        at = MACHINE if reader.from_machine else INSIDE
        made = {
            "kafka": partial(kafka_settings, at["kafka"], user, passwords.get(user, ""), ca),
            "redis": partial(redis_settings, at["redis"], "undertone", redis, ca),
            "database": partial(database_settings, at["database"], database, ca),
            "keys": partial(sealing_settings, at["keys"], sealed, f"{keyset}/{KEYSET_FILE}", ca),
            "purposes": partial(purpose_settings, INSIDE["purposes"], sealed),
        }
        settings: dict[str, str] = {}
        for server in reader.reaches:
            if not own.get({"kafka": "KAFKA_BOOTSTRAP", "redis": "REDIS_URL"}.get(server, "")):
                settings |= made[server]()
        certified = {}
        if sealed is not None and (name == KEY_SERVER or "purposes" in reader.reaches):
            certified = _certified(folder, authority, name, now, _caller(name, own), "keys")
            settings |= certificate_settings(OURS)
        settings = {**_read(settings, reader.role), **_of_operator(given, reader.role)}
        files = {variable.lower(): text for variable, text in settings.items()}
        # What a setting names by its path, such as a table of patients, goes where the setting goes.
        named = {file: given[file] for file in given if any(_names(text, file) for text in settings.values())}
        if sealed is not None and sealed.pin is not None and "keys" in reader.reaches:
            named[CONFIGURED] = CONFIGURATION.format(f"{keyset}/{TOKENS}")
        owner = folder.operator if name == "operator" else UNDERTONE
        folder.give(name, owner, {**trusted, **certified, **named, **files})


def _read(settings: Mapping[str, str], role: Role) -> dict[str, str]:
    """Those of the settings that a role reads."""
    return {name: text for name, text in settings.items() if roles_of(name.removeprefix(PREFIX).lower()) & role}


def _sealed(folder: SecretsFolder, asked: str, service: str, password: str) -> Sealed | None:
    """How data is sealed: as it is asked now, or as at the start before; None where it never was."""
    if asked not in {"", "on", "off"}:
        raise ConfigurationError("UNDERTONE_SEAL is neither on nor off")
    before = folder.has(KEPT, "seal")
    service = _key_service(folder, service, sealed_before=bool(before))
    seal = asked if asked == "on" or (asked and before) else before
    if not seal:
        return None
    if seal != before:
        folder.keep("seal", seal)
    pin = _password(folder, PIN) if service == "softhsm" else None
    return Sealed(seal, password, folder.kept("audit-key", lambda: secrets.token_hex(32)), pin)


def _key_service(folder: SecretsFolder, asked: str, *, sealed_before: bool) -> str:
    """What wraps the store key: what did so before, else what is asked for. Raises ConfigurationError for another."""
    if asked not in {"", *KEY_SERVICES}:
        raise ConfigurationError(f"UNDERTONE_KEY_SERVICE is none of {', '.join(KEY_SERVICES)}")
    if not sealed_before:
        return asked or KEY_SERVICES[0]
    before = KEY_SERVICES[bool(folder.has(KEPT, PIN))]
    if asked not in {"", before}:
        raise ConfigurationError(
            f"UNDERTONE_KEY_SERVICE: data is sealed by a key of `{before}` already, which no other key service opens; "
            "leave the variable out"
        )
    return before


def _names(setting: str, file: str) -> bool:
    """Whether a setting has a path that ends with this file: not one whose name only begins with it."""
    return re.search(rf"/{re.escape(file)}(?![\w./-])", setting) is not None


def _of_operator(given: Mapping[str, str], role: Role) -> dict[str, str]:
    """The settings that the operator gives, as far as a role reads them, by variable."""
    found = {}
    for name, text in given.items():
        variable = name.upper()
        field = variable.removeprefix(PREFIX).lower()
        known = field in Settings.model_fields and (variable.startswith(PREFIX) or variable in PLAIN)
        if is_setting(name) and known and roles_of(field) & role:
            found[variable] = text.strip()
    return found


def _password(folder: SecretsFolder, name: str) -> str:
    found = folder.kept(name, lambda: secrets.token_urlsafe(32))
    if not PASSWORD.fullmatch(found):
        raise ConfigurationError(
            f"{folder.shown}/kept/{name} is no password of 24 to 96 letters, digits, - and _: write such a one, or "
            "delete the file, so that one is made"
        )
    return found


def _authority(folder: SecretsFolder) -> Signer:
    kept = folder.kept("authority.pem", lambda: Signer.new("Undertone on this machine", AUTHORITY_LIVES).both)
    try:
        return Signer.read(kept)
    except ValueError:
        raise ConfigurationError(
            f"{folder.shown}/kept/authority.pem is not a key with its certificate: delete the file, so that it and "
            "every certificate are made anew"
        ) from None


def _certified(
    folder: SecretsFolder, authority: Signer, service: str, now: datetime, name: str, file: str = "server"
) -> dict[str, str]:
    """A certificate of this name for a service, and its key: those that it has, until they are about to end."""
    hosts = (name, *THIS_MACHINE)
    key, certificate = split(folder.has(service, f"{file}-both.pem"))
    if not authority.vouches(certificate, hosts, now + RENEWED_BEFORE):
        certificate, key = authority.vouch(name, hosts, now - timedelta(days=1), now + CERTIFICATE_LIVES)
    return {f"{file}.pem": certificate, f"{file}-key.pem": key, f"{file}-both.pem": key + certificate}


def _caller(name: str, own: Mapping[str, str]) -> str:
    """The name in the certificate of a role, by which it is given keys: a bridge that reads more has one of its own."""
    bridge = f"{name}-{own.get('UNDERTONE_CHANNEL', '')}"
    return bridge if bridge in KEY_GRANTS else name


def _ending(authority: Signer, now: datetime) -> list[str]:
    if authority.ends - now > RENEWED_BEFORE:
        return []
    return [f"the authority ends on {authority.ends:%Y-%m-%d}: delete kept/authority.pem and start everything again"]


def main(arguments: list[str]) -> int:
    """The command: 0, or the exit status of an error, which is printed."""
    # Whoever checked out this file looks after the installation, also when this runs as root in a container.
    operator = Path(__file__).stat().st_uid
    root = arguments[0] if arguments else "secrets"
    shown = arguments[1] if len(arguments) > 1 else root
    try:
        folder = SecretsFolder.open(Path(root), operator, shown)
        for sentence in make(folder, datetime.now(UTC), os.environ):
            print(sentence, file=sys.stderr)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{shown}: every service has its passwords and certificates", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`undertone keys`: the key directory, its store key, and retention by months."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from schemas.key_purposes import Purpose
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, printer, progress, warn
from streams.terminal.parse_time import month

if TYPE_CHECKING:
    from streams.terminal.key_lines import KeyGrant, KeysMade, KeysRotated, KeyStatus, MonthsDestroyed
    from workers.privacy.key_directory import KeyDirectory
    from workers.privacy.rotation import Rotation

keys_app = typer.Typer(help="Keys of people: what data at rest is sealed with.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Mount the commands."""
    app.add_typer(keys_app, name="keys")


@keys_app.command()
def init(as_json: AsJson = False) -> None:
    """Make the key directory, its tables and its store key, where they are missing. It may be repeated.

    The key directory is a file of SQLite in UNDERTONE_HOME, or PostgreSQL at UNDERTONE_KEY_DIRECTORY_URL; UNDERTONE_KMS
    names what wraps its store key. Make backups of both, apart from those of the data.
    """
    _check_packages()
    from workers.privacy.key_directory import KeyDirectory

    done: KeysMade = {"made": KeyDirectory.init(load_settings())}
    output = printer(as_json)
    output.data(done)
    output.note("key directory made" if done["made"] else "nothing to make: the key directory is there")


@keys_app.command()
def status(as_json: AsJson = False) -> None:
    """Show whether data is sealed, and that every key opens: of how many people, since which month."""
    settings = load_settings()
    directory = _opened()
    try:
        found, service = directory.status(), directory.key_service
    finally:
        directory.close()
    shown: KeyStatus = {
        "sealing": settings.seal,
        "clear_topics": [*settings.seal_clear_topics],
        "key_cache_s": settings.key_cache_s,
        "key_service": service,
        "store_key": found.store_key,
        "store_key_made_at": _rfc3339(found.made_at) or "",
        "rotating": found.rotating,
        "people": found.people,
        "erasing": found.erasing,
        "erased": found.erased,
        "keys": found.keys,
        "damaged": found.damaged,
        "oldest_month": _month(found.oldest),
        "destroyed_before": _month(found.destroyed_before or None),
    }
    printer(as_json).fields(shown, {**shown, "clear_topics": ", ".join(shown["clear_topics"])})
    if found.damaged:
        warn(f"{found.damaged} keys do not open: restore the key directory's newest backup, or erase those people")


@keys_app.command()
def grant(
    purpose: Annotated[Purpose, typer.Argument(metavar="PURPOSE", help="What the keys open, such as `alerts`.")],
    as_json: AsJson = False,
) -> None:
    """Print the keys of one purpose, for a reader outside that has a right to them, one JSON object a line.

    They are secrets, and a copy of them outlives the erasure of a person: pass them to the reader through a pipe, and
    ask again when it meets a person or a month that it does not know.
    """
    from workers.privacy.grants import grants
    from workers.privacy.keyring import Keyring

    output = printer(as_json=True)
    directory = _opened()
    try:
        for each in grants(directory, Keyring(directory, load_settings().key_cache_s), purpose):
            line: KeyGrant = {
                "subject": each.subject,
                "epoch": each.epoch,
                "key": each.key,
                "user_id": each.user_id,
            }
            output.data(line)
    finally:
        directory.close()


@keys_app.command()
def serve() -> None:
    """Give each role the keys of its own purposes alone: this process has the key directory, and others need not.

    It listens at UNDERTONE_KEY_SERVICE_HOST and UNDERTONE_KEY_SERVICE_PORT, for whoever has a certificate, or at
    sockets in UNDERTONE_KEY_SERVICE_SOCKETS. Roles find it by UNDERTONE_KEY_SERVICE_URL.
    """
    _check_packages()
    from schemas.settings import Settings
    from streams.roles.key_service import run_key_service
    from streams.roles.process import until_asked_to_stop

    settings = Settings.load()
    until_asked_to_stop(settings, "key-server", lambda stop: run_key_service(settings, stop))


@keys_app.command()
def rotate(as_json: AsJson = False) -> None:
    """Wrap every key with a new store key, and destroy the old one: no older backup of the key directory opens.

    Processes go on meanwhile. An interrupted rotation is finished by the next.
    """
    directory = _opened()
    try:
        with progress(None, "wrapping keys"):
            rotation = directory.rotate_store_key()
    finally:
        directory.close()
    done: KeysRotated = {
        "store_key": rotation.version,
        "rewrapped": rotation.rewrapped,
        "damaged": rotation.damaged,
        "older_backups_open_until": _rfc3339(rotation.gone_at),
    }
    output = printer(as_json)
    output.data(done)
    output.note(f"{rotation.rewrapped} keys wrapped with version {rotation.version} of the store key")
    _report(rotation)


@keys_app.command()
def destroy_epochs(
    before: Annotated[
        datetime | None, typer.Option(parser=month, metavar="YYYY-MM", help="First month that is kept, in UTC.")
    ] = None,
    due: Annotated[
        bool, typer.Option("--due", help="The months that are over for longer than UNDERTONE_KEYS_RETENTION_S.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Destroy them; without it nothing is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Destroy the keys of all months before one: sealed records of those months open nowhere again, nor in a backup.

    States, names, consents and the history stay: they have a key that lasts. The store key is rotated as well. With
    --due it does what `undertone history` does each hour: where nothing is due nothing is done.
    """
    from schemas.key_purposes import epoch_of

    before = _first_kept(before, due=due)
    directory = _opened()
    try:
        if not yes:
            keys = directory.keys_before(epoch_of(before))
            raise ConfigurationError(
                f"{keys} keys of the months before {before:%Y-%m} would be destroyed, and what they sealed could never "
                "be read again: repeat it with --yes"
            )
        destroyed = directory.destroy_epochs(epoch_of(before)) if directory.keys_before(epoch_of(before)) else 0
        rotation = directory.rotate_store_key() if destroyed or not due or directory.owes_rotation() else None
    finally:
        directory.close()
    done: MonthsDestroyed = {
        "destroyed": destroyed,
        "destroyed_before": f"{before:%Y-%m}",
        "older_backups_open_until": None if rotation is None else _rfc3339(rotation.gone_at),
    }
    output = printer(as_json)
    output.data(done)
    output.note(f"{destroyed} keys of the months before {before:%Y-%m} destroyed")
    if rotation is not None:
        _report(rotation)


def _first_kept(before: datetime | None, *, due: bool) -> datetime:
    """The first month that is kept. Raises BadParameter, and ConfigurationError where no retention is set."""
    if due == (before is not None):
        raise typer.BadParameter("give either --before or --due")
    if before is not None:
        return before
    settings = load_settings()
    if settings.keys_retention_s is None:
        raise ConfigurationError("UNDERTONE_KEYS_RETENTION_S is not set: set it, or say --before")
    return datetime.now(UTC) - timedelta(seconds=settings.keys_retention_s)


def _report(rotation: "Rotation") -> None:
    """Warn about what a rotation left."""
    if rotation.damaged:
        warn(f"{rotation.damaged} keys were damaged: what they sealed cannot be read")
    if rotation.gone_at is not None and rotation.gone_at > datetime.now(UTC):
        warn(
            f"the key service removes the old store key at {_rfc3339(rotation.gone_at)}: older backups open until then"
        )


def _opened() -> "KeyDirectory":
    """The key directory, which has to be there."""
    _check_packages()
    from workers.privacy.key_directory import KeyDirectory

    settings = load_settings()
    if not KeyDirectory.is_made(settings) and settings.key_service_url is None:
        raise ConfigurationError("there is no key directory in UNDERTONE_HOME: `undertone keys init` makes one")
    return KeyDirectory.open(settings)


def _month(epoch: int | None) -> str | None:
    from schemas.key_purposes import month_of

    return None if epoch is None else f"{month_of(epoch):%Y-%m}"


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat()


def _check_packages() -> None:
    """Raises ConfigurationError where the packages of the key directory are not installed."""
    from importlib.util import find_spec

    if find_spec("sqlalchemy") is None:
        raise ConfigurationError("the key directory's packages are missing: `pip install 'undertone-voice[history]'`")

"""Brings the tables of a database to this version, or says that somebody has to."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from schemas.errors import ConfigurationError

LOCK = 0x756E6465
"""Advisory lock of PostgreSQL under which the tables are changed: two processes take turns."""
NEWER = (
    "the tables of the history were written by a newer Undertone: run that version, or restore the backup from before "
    "its migration"
)


def migrate(engine: Engine) -> bool:
    """Bring the tables to this version, all or nothing; whether there was anything to do.

    Raises ConfigurationError when a newer version has written them.
    """
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if _behind(connection) is False:
            return False
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        return True


def check_version(engine: Engine) -> None:
    """Raises ConfigurationError when the tables are not those of this version."""
    with engine.connect() as connection:
        if _behind(connection):
            raise ConfigurationError(
                "UNDERTONE_DATABASE_URL: tables are missing or of an older Undertone: run `undertone history migrate`"
            )


def _behind(connection: Connection) -> bool:
    """Whether there are migrations to run. Raises ConfigurationError for a version that is unknown."""
    current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(_configuration())
    if current == scripts.get_current_head():
        return False
    try:
        scripts.get_revision(current or "base")
    except CommandError:
        raise ConfigurationError(NEWER) from None
    return True


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", "streams.history:migrations")
    return configuration

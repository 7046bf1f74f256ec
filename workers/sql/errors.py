"""What the errors of a database mean: wait, or have an operator act. Statements and values stay out of the messages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from schemas.errors import ConfigurationError, Transient

NO_RIGHT = "42501"
FATAL = ("28", "3D", NO_RIGHT)
"""SQLSTATEs, or their classes, that an operator has to resolve: wrong credentials, no such database, no right."""
REFUSED = re.compile("authentication failed|does not exist|no pg_hba.conf entry|permission denied")
"""The same in what PostgreSQL says to a new connection, which has no SQLSTATE."""
NO_TABLE = "42P01"


class Messages(NamedTuple):
    """How the errors of one database are named.

    database: its name; refused: PostgreSQL gives no right; damaged: the file of SQLite cannot be read; no_tables: there
    are none yet, None where that is a defect.
    """

    database: str
    refused: str
    damaged: str
    no_tables: str | None = None


@contextmanager
def known_errors(messages: Messages) -> Iterator[None]:
    """Errors of the database in the block become Transient, or ConfigurationError; others stay as they are."""
    try:
        yield
    except PoolTimeout:
        raise Transient(f"{messages.database} answers too slowly: every connection is in use") from None
    except DBAPIError as error:
        found = _known(error, messages)
        if found is None:
            raise
        raise found from None


def is_refused(error: DBAPIError) -> bool:
    """Whether PostgreSQL does not give its user the right to do this."""
    return getattr(error.orig, "sqlstate", None) == NO_RIGHT


def _known(error: DBAPIError, messages: Messages) -> Exception | None:
    """The error to raise instead; None for one that is a defect."""
    state = getattr(error.orig, "sqlstate", None) or ""
    text = str(error.orig)
    if state.startswith(FATAL) or (not state and REFUSED.search(text)):
        return ConfigurationError(messages.refused)
    if "not a database" in text or "malformed" in text:
        return ConfigurationError(messages.damaged)
    if messages.no_tables is not None and ("no such table" in text or state == NO_TABLE):
        return ConfigurationError(messages.no_tables)
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        kind = f"{type(error.orig).__name__}, SQLSTATE {state}" if state else type(error.orig).__name__
        return Transient(f"{messages.database} does not answer ({kind})")
    return None

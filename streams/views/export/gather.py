"""Reads everything that is held of one person. Changes nothing."""

import asyncio
from datetime import UTC, datetime
from importlib.util import find_spec

from sqlalchemy import Connection

from schemas.codec import Codec
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from schemas.stored_files import HISTORY
from schemas.topics import DEAD, SCORED, UPLOADED
from streams.drift.rules import Rules
from streams.history.care import actions_of
from streams.history.person import episodes, marks, person, scores
from streams.views.export.holdings import History, Holdings
from streams.views.export.places import TOPICS
from streams.views.reading import known_of, records_of
from streams.views.user import view_of

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
EVERY = 2**31 - 1
"""Episodes: all."""


async def gather(settings: Settings, codec: Codec, user_id: str) -> Holdings:
    """Everything of a person. Raises Transient when a server is unavailable, BrokerRefused when it refuses.

    Raises ConfigurationError when there is a database and the packages that read it are missing.
    """
    history = await _history(settings, user_id)
    known = await known_of(settings, codec, user_id)
    read = {UPLOADED.name: known.uploads, SCORED.name: known.scores, DEAD.name: known.letters}
    others = [topic for topic in TOPICS if topic.name not in read]
    found = await records_of(settings, codec, user_id, *others)
    now = datetime.now(UTC)
    view = view_of(user_id, known, settings.modalities, Rules.from_settings(settings), codec, now)
    records = read | {topic.name: records for topic, records in zip(others, found, strict=True)}
    return Holdings(user_id, now, {topic.name: records[topic.name] for topic in TOPICS}, known, view, history)


async def _history(settings: Settings, user_id: str) -> History | None:
    """What SQL has; None where no database is kept, and none is made."""
    if settings.database_url is None and not (settings.home / HISTORY.names[0]).exists():
        return None
    if find_spec("alembic") is None or find_spec("psycopg") is None:
        raise ConfigurationError(
            "there is a database of the history, and its packages are missing: `pip install "
            "'undertone-voice[history]'`, or the export would lack what is in it"
        )
    from streams.history.database import Database  # loads the packages

    database = await asyncio.to_thread(Database.open, settings)
    try:
        return await database.read(_rows, user_id)
    finally:
        await asyncio.to_thread(database.close)


def _rows(connection: Connection, user_id: str) -> History:
    return History(
        person=person(connection, user_id),
        scores=tuple(scores(connection, user_id, FIRST, LAST)),
        episodes=tuple(reversed(episodes(connection, user_id, EVERY))),
        actions=tuple(actions_of(connection, [user_id]).get(user_id, ())),
        marks=tuple(marks(connection, user_id)),
    )

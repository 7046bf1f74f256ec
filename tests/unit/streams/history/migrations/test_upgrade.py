from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.history.database import Database, engine_of
from streams.history.tables import METADATA
from streams.history.writes.bulk import TRIGRAMS


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Of an empty database."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return Settings(home=tmp_path, database_url=url)


def _compared(_: object, name: str | None, *__: object) -> bool:
    """SQLAlchemy does not know the class of operators of this index."""
    return name != TRIGRAMS


def test_migrations_make_the_tables_of_the_program_once(settings: Settings) -> None:
    assert Database.migrate(settings)
    assert not Database.migrate(settings)
    engine = engine_of(settings)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _compared})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_tables_of_a_newer_version_are_refused(settings: Settings) -> None:
    Database.migrate(settings)
    engine = engine_of(settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'v9999'"))
    engine.dispose()
    for attempt in (Database.migrate, Database.open):
        with pytest.raises(ConfigurationError, match="newer Undertone"):
            attempt(settings)


def test_postgresql_is_migrated_by_command_only(postgres_url: str) -> None:
    settings = Settings(database_url=postgres_url)
    with pytest.raises(ConfigurationError, match="undertone history migrate"):
        Database.open(settings)
    Database.migrate(settings)
    Database.open(settings).close()

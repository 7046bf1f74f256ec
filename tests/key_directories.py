"""Key directories for contract tests, in SQLite and in PostgreSQL, and looks into their tables."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from schemas.key_purposes import LASTING, epoch_of
from schemas.settings import Settings
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory

MONTH = epoch_of(datetime.now(UTC))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def sealed_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of an installation whose key directory was made."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    made = sealing(tmp_path, key_directory_url=url)
    assert KeyDirectory.init(made)
    return made


@pytest.fixture
def directory(sealed_settings: Settings) -> Iterator[KeyDirectory]:
    """An empty directory."""
    opened = KeyDirectory.open(sealed_settings)
    yield opened
    opened.close()


def rows(directory: KeyDirectory, table: Any) -> list[Any]:
    """All rows of a table, by its key."""
    with directory._database.reading() as connection:
        return [*connection.execute(select(table).order_by(*table.primary_key.columns)).all()]


def change(directory: KeyDirectory, statement: Any) -> None:
    """Change the tables behind the directory's back."""
    with directory._database.writing() as connection:
        connection.execute(statement)


def keys_of(directory: KeyDirectory, *users: str) -> dict[tuple[str, int], Any]:
    """Lasting keys and this month's of these users, as far as they are known."""
    subjects = {subject.id: user for user, subject in directory.subjects_of(users).items()}
    found = directory.keys_of([(subject, epoch) for subject in subjects for epoch in (LASTING, MONTH)])
    return {(subjects[subject], epoch): key for (subject, epoch), key in found.items()}

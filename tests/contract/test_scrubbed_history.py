"""What was in clear in PostgreSQL leaves its files when somebody is erased; what was always sealed costs nothing."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import func, select, text

from schemas.event_enums import CareActionKind
from schemas.settings import Settings
from streams.history import cohorts
from streams.history.caseload import CaseloadFilter, caseload
from streams.history.database import Database
from streams.history.person import scores
from streams.history.tables import FACTS, PERSONAL
from streams.history.writes import upkeep
from streams.history.writes.erasure import LOG_LEFT, ONLY_SEALED, STATISTICS, TABLES_LEFT, forget_person
from tests.history import NOW, action, score
from tests.postgres import PostgresServer
from tests.sealed_history import History, everything, kept, on_disk, seal_all
from workers.privacy.sealing import close_all

pytestmark = pytest.mark.postgres
TABLES = (*(table.name for table in PERSONAL), STATISTICS)


@pytest.fixture
def history(postgres_url: str, tmp_path: Path) -> Iterator[History]:
    """An empty one."""
    settings = Settings(home=tmp_path, database_url=postgres_url)
    Database.migrate(settings)
    yield History(settings)
    close_all()


async def store(history: History, seal: str, *users: str) -> None:
    """Rows of these people, sealed or in clear, with samples of them in the statistics."""
    database = history.opened(seal)
    await database.write(kept, [record for user in users for record in everything(user)])
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    database.close()


def files(database: Database) -> list[int]:
    """Numbers of the files of the tables: another one for each that was rewritten."""
    with database.engine.connect() as connection:
        return [connection.scalar(select(func.pg_relation_filenode(name))) or 0 for name in TABLES]


def only_sealed(database: Database) -> bool:
    """Whether the database says that nothing in clear is left in its files."""
    with database.engine.connect() as connection:
        return connection.scalar(select(FACTS.c.value).where(FACTS.c.name == ONLY_SEALED)) is not None


async def test_what_was_in_clear_leaves_every_file_of_postgresql(history: History, postgres: PostgresServer) -> None:
    """Rows that are deleted, those that were taken over, and samples of both."""
    erased, sealed_since = f"erased-{uuid4().hex}", f"sealed-{uuid4().hex}"
    words = [erased.encode(), sealed_since.encode()]
    await store(history, "off", erased, sealed_since)
    database = history.opened("on")
    await database.write(forget_person, bytes(16), erased)
    await database.write(seal_all)
    assert set(on_disk(history, words, postgres)) == {repr(word) for word in words}, "deleting removes nothing"
    assert await database.scrub() == []
    assert on_disk(history, words, postgres) == {}
    assert len(await database.read(scores, sealed_since, NOW.replace(year=2000), NOW)) == 3
    before = files(database)
    assert await database.scrub() == []
    assert files(database) == before, "once is enough"
    database.close()


async def test_a_history_that_was_always_sealed_is_not_locked_to_be_rewritten(history: History) -> None:
    await store(history, "on", "anna", "berta")
    database = history.opened("on")
    assert only_sealed(database)
    before = files(database)
    assert await database.scrub() == []
    assert files(database) == before
    database.close()


async def test_whatever_is_stored_in_clear_is_remembered_until_it_is_gone(history: History) -> None:
    await store(history, "on", "anna")
    clear, sealed = history.opened("off"), history.opened("on")
    await clear.write(kept, everything("berta"))
    assert not only_sealed(sealed), "a new row"
    await sealed.scrub()
    assert not only_sealed(sealed), "it is still there"
    await sealed.write(seal_all)
    await sealed.scrub()
    assert only_sealed(sealed)
    await clear.write(cohorts.replace_members, [("anna", "ward")])
    assert not only_sealed(sealed), "a file of cohorts"
    await sealed.write(cohorts.replace_members, [("anna", "ward")])
    await sealed.scrub()
    assert only_sealed(sealed)
    await clear.write(upkeep.reset)
    await clear.write(kept, everything("carl"))
    await sealed.write(kept, everything("dora"))
    assert not only_sealed(sealed), "rows from before a rebuild"
    await sealed.write(forget_person, bytes(16), "carl")
    await sealed.scrub()
    assert not only_sealed(sealed), "a cohort of a file, which a rebuild in clear has kept"
    await sealed.write(seal_all)
    await sealed.scrub()
    assert only_sealed(sealed)
    assert {row.user_id for row in (await sealed.read(caseload, CaseloadFilter())).rows} == {"dora"}
    clear.close()
    sealed.close()


async def test_a_history_in_clear_is_rewritten_when_somebody_has_no_row_any_more_and_not_otherwise(
    history: History, postgres: PostgresServer
) -> None:
    erased = f"erased-{uuid4().hex}"
    await store(history, "off", erased, "berta", "carl")
    database = history.opened("off")
    await database.write(forget_person, bytes(16), erased)
    before = files(database)
    assert await database.scrub() == []
    rewritten = files(database)
    assert not set(rewritten) & set(before)
    assert on_disk(history, [erased.encode()], postgres) == {}
    for of_nobody in (erased, "somebody who was never here"):
        await database.write(forget_person, bytes(16), of_nobody)
        await database.write(kept, everything("dora"))
        assert await database.scrub() == []
        assert files(database) == rewritten, "their rows are not there, nor were they since it was rewritten"
    await database.write(forget_person, bytes(16), "berta")
    assert await database.scrub() == []
    assert not set(files(database)) & set(rewritten)
    database.close()


async def test_whoever_went_by_another_way_is_in_no_file_after_an_erasure(history: History) -> None:
    database = history.opened("off")
    later = NOW.replace(year=NOW.year + 9)

    async def by_retention() -> None:
        assert await database.write(upkeep.forget_people, later, "") == "anna"

    async def as_somebody_who_never_spoke() -> None:
        assert await database.write(upkeep.forget, later)

    async def by_a_rebuild() -> None:
        await database.write(upkeep.reset)

    async def by_a_file_of_cohorts() -> None:
        await database.write(cohorts.replace_members, [])

    for goes in (by_retention, as_somebody_who_never_spoke, by_a_rebuild, by_a_file_of_cohorts):
        await database.write(kept, [score("anna", 1.0, 0.5), action("berta", CareActionKind.NOTED, 1.0, note="a note")])
        await database.scrub()
        rewritten = files(database)
        await database.scrub()
        assert files(database) == rewritten
        await goes()
        await database.scrub()
        assert not set(files(database)) & set(rewritten), goes.__name__
    database.close()


async def test_what_a_user_without_the_right_leaves_is_said(history: History, postgres: PostgresServer) -> None:
    await store(history, "off", "anna")
    url, name = str(history.settings.database_url), f"u{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN".encode())
        owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}".encode())
    least = history.settings.model_copy(update={"database_url": url.replace("undertone@", f"{name}@")})
    database = History(least).opened("on")
    await database.write(seal_all)
    assert await database.scrub() == [TABLES_LEFT.format(", ".join(TABLES)), LOG_LEFT]
    assert not only_sealed(database)
    database.close()

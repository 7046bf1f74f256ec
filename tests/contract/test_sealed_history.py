"""What a history in both databases says on disk where rows are sealed, and what an erasure leaves of it."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select, text, update

from schemas.errors import Transient
from schemas.event_enums import CareActionKind
from schemas.events import RiskScored
from schemas.sealed_frame import is_sealed
from schemas.settings import Settings
from streams.history import cohorts, live
from streams.history.care import actions_of, apply_action, marks
from streams.history.caseload import CaseloadFilter, caseload
from streams.history.database import Database
from streams.history.episode import episodes
from streams.history.person import latest_scores, memo_score, person, scores
from streams.history.sealing import FACT, sealing_of
from streams.history.tables import ACTIONS, ALERTS, FACTS, METADATA, PEOPLE, PERSONAL, SCORES
from streams.history.writes import upkeep
from streams.history.writes.erasure import forget_person
from tests.history import NOW, action, letter, score
from tests.postgres import PostgresServer
from tests.sealed_history import CANARY, History, everything, kept, on_disk, seal_all
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.sealing import close_all

DAY = timedelta(days=1)
WORDS = ("anna", "berta", "canary", "pauses longer than canaries", "saw her at the market", "dr-canary")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """An empty one."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    settings = Settings(home=tmp_path, database_url=url)
    Database.migrate(settings)
    yield History(settings)
    close_all()


@pytest.fixture
def database(history: History) -> Iterator[Database]:
    opened = history.opened()
    yield opened
    opened.close()


@pytest.fixture
def directory(history: History) -> Iterator[KeyDirectory]:
    """The keys of the same history."""
    opened = KeyDirectory.open(history.settings)
    yield opened
    opened.close()


def raw(connection: Connection) -> str:
    """All that the tables hold, as it is stored."""
    found = []
    for table in METADATA.sorted_tables:
        for row in connection.execute(text(f"SELECT * FROM {table.name}")):
            found += [repr(value) for value in row]
    return "\n".join(found)


def shown(connection: Connection, user: str) -> list[object]:
    """All that a page can show of a person."""
    period = (NOW - 30 * DAY, NOW)
    start = live.Position({}, live.position(connection).rebuild)
    mine = caseload(connection, CaseloadFilter(search=user)).rows
    return [
        mine,
        person(connection, user),
        scores(connection, user, *period),
        latest_scores(connection, user, *period, None, 10),
        latest_scores(connection, user, *period, (NOW - 3 * DAY, f"{user}/3"), 10),
        memo_score(connection, user, f"{user}/3"),
        episodes(connection, user),
        marks(connection, user),
        actions_of(connection, [user]),
        sorted(str(event) for event in live.since(connection, start)[0] if event.user_id == user),
    ]


def erase(directory: KeyDirectory, user: str) -> bytes:
    """Destroy a person's keys; the subject."""
    found = directory.mark_erasing(user)
    assert found is not None
    directory.destroy_keys(found.id)
    return found.id


def forgotten(database: Database, subject: bytes) -> None:
    """The process has dropped the person's keys."""
    with database.engine.connect() as connection:
        sealing = sealing_of(connection)
        assert sealing is not None
        sealing.keyring.forget(subject)


def test_sealed_rows_say_nothing_and_pages_say_the_same(history: History) -> None:
    pages = []
    for seal in ("off", "on"):
        database = history.opened(seal)
        with database.engine.connect() as connection, connection.begin():
            kept(connection, [*everything("anna"), *everything("berta"), letter("x")])
            cohorts.replace_members(connection, [("anna", "ward")])
            pages.append([shown(connection, user) for user in ("anna", "berta")])
            rests = raw(connection)
            found = [word for word in (*WORDS, repr(CANARY), str(CANARY)) if word in rests]
            assert found == [] if seal == "on" else len(found) > 4
            cohorts.replace_members(connection, [])
            upkeep.reset(connection)
        database.close()
    assert pages[0] == pages[1]


def test_rows_in_clear_are_read_and_taken_over_both_ways(history: History) -> None:
    clear = history.opened("off")
    with clear.engine.connect() as connection, connection.begin():
        kept(connection, [*everything("anna"), *everything("berta")])
        before = shown(connection, "berta")
    clear.close()
    sealed = history.opened("on")
    with sealed.engine.connect() as connection, connection.begin():
        assert shown(connection, "berta") == before
        kept(connection, [score("anna", 0.5, CANARY)])
        assert "anna" not in raw(connection)
        assert "berta" in raw(connection)
        assert len(scores(connection, "anna", NOW - 30 * DAY, NOW)) == 4
        assert shown(connection, "berta") == before
        seal_all(connection)
        assert "berta" not in raw(connection)
        assert shown(connection, "berta") == before
    sealed.close()
    clear = history.opened("off")
    with clear.engine.connect() as connection, connection.begin():
        assert shown(connection, "berta") == before
        assert not kept(connection, [score("berta", 2.0, CANARY)])
        assert "berta" in raw(connection)
        assert "anna" not in raw(connection)
        assert shown(connection, "berta") == before
    clear.close()


def test_a_rebuild_writes_the_form_of_the_settings(history: History) -> None:
    for seal, form in (("on", True), ("off", False), ("on", True)):
        database = history.opened(seal)
        with database.engine.connect() as connection, connection.begin():
            upkeep.reset(connection)
            kept(connection, everything("anna"))
            cohorts.replace_members(connection, [("anna", "ward")])
            assert all(is_sealed(frame) is form for frame in connection.scalars(select(SCORES.c.details)))
            assert connection.scalar(select(FACTS.c.value).where(FACTS.c.name == FACT)) == ("1" if form else None)
            assert ("anna" in raw(connection)) is not form
        database.close()


def test_a_frame_opens_in_its_own_row_alone(database: Database) -> None:
    with database.engine.connect() as connection, connection.begin():
        kept(connection, [*everything("anna"), *everything("berta")])
        rows = connection.execute(select(SCORES.c.user_id, SCORES.c.memo_id, SCORES.c.details)).all()
        for one in rows:
            others = [row for row in rows if row.memo_id != one.memo_id]
            assert len(others) == 5
            own = SCORES.c.memo_id == one.memo_id
            for other in others:
                connection.execute(update(SCORES).where(own).values(details=other.details))
                found = [row for user in ("anna", "berta") for row in scores(connection, user, NOW - 9 * DAY, NOW)]
                assert len(found) == 5
            connection.execute(update(SCORES).where(own).values(details=one.details))
        for part in (slice(3), slice(-1), slice(0, 3)):
            connection.execute(update(PEOPLE).values(recent=rows[0].details[part] + b"x"))
            assert caseload(connection, CaseloadFilter()).rows == ()


def test_erased_people_are_absent_and_pages_stay_full(database: Database, directory: KeyDirectory) -> None:
    users = [f"user-{number:02}" for number in range(12)]
    with database.engine.connect() as connection, connection.begin():
        kept(connection, [record for user in users for record in [score(user, 1.0), score(user, 2.0)]])
    for user in users[3:9]:
        forgotten(database, erase(directory, user))
    left = users[:3] + users[9:]
    with database.engine.connect() as connection, connection.begin():
        found, after = [], None
        while True:
            page = caseload(connection, CaseloadFilter(), after, limit=2)
            found += [row.user_id for row in page.rows]
            after = page.next
            assert len(page.rows) == 2
            if after is None:
                break
        assert sorted(found) == left
        seen: list[str] = []
        known = live.Position({})
        while events := (answer := live.since(connection, known, limit=5))[0]:
            seen += [event.user_id for event in events]
            known = answer[1]
        assert sorted(seen) == sorted([*left, *left])
        gone = users[4]
        assert person(connection, gone) is None
        assert scores(connection, gone, NOW - 30 * DAY, NOW) == []
        assert caseload(connection, CaseloadFilter(search=gone)).rows == ()


def test_records_of_erased_people_are_passed_over(database: Database, directory: KeyDirectory) -> None:
    with database.engine.connect() as connection, connection.begin():
        kept(connection, [*everything("anna"), *everything("berta")])
    subject = erase(directory, "anna")
    with database.engine.connect() as connection, connection.begin():
        before = shown(connection, "berta")
        # The keys are in memory still: what is written now cannot be opened.
        kept(connection, [score("anna", 0.5)], sealed=True)
        assert forget_person(connection, subject)["scores"] == 4
    forgotten(database, subject)
    with database.engine.connect() as connection, connection.begin():
        assert kept(connection, [score("anna", 0.4), *everything("berta")], sealed=True) == 0
        assert not apply_action(connection, action("anna", CareActionKind.NOTED, note="x"))
        assert "anna" not in raw(connection)
        assert subject.hex() not in raw(connection)
        assert shown(connection, "berta") == before
    assert directory.subjects_of(["anna"]) == {}


def test_a_person_who_returns_is_somebody_new(database: Database, directory: KeyDirectory) -> None:
    with database.engine.connect() as connection, connection.begin():
        kept(connection, everything("anna"))
    old = erase(directory, "anna")
    forgotten(database, old)
    with database.engine.connect() as connection, connection.begin():
        kept(connection, [score("anna", 0.5)])
        assert len(scores(connection, "anna", NOW - 30 * DAY, NOW)) == 1
        found = person(connection, "anna")
        assert found is not None
        assert found.row.memos == 1
        assert forget_person(connection, old) == {
            "actions": 2, "alerts": 1, "cohort_members": 0, "episodes": 1, "people": 1, "scores": 3,
        }  # fmt: skip
        assert len(scores(connection, "anna", NOW - 30 * DAY, NOW)) == 1


def test_rows_wait_for_a_key_that_the_directory_does_not_know(database: Database) -> None:
    with database.engine.connect() as connection, connection.begin():
        kept(connection, everything("anna"))
        unknown = bytes(16).hex()
        for table in (PEOPLE, SCORES, ALERTS, ACTIONS):
            connection.execute(update(table).values(user_id=unknown))
        with pytest.raises(Transient):
            caseload(connection, CaseloadFilter())


def test_a_pseudonym_may_look_like_a_subject(history: History) -> None:
    user = "0123456789abcdef" * 2
    for seal in ("off", "on", "off"):
        database = history.opened(seal)
        with database.engine.connect() as connection, connection.begin():
            kept(connection, [score(user, 1.0)])
            assert [row.user_id for row in caseload(connection, CaseloadFilter()).rows] == [user]
            assert len(scores(connection, user, NOW - 30 * DAY, NOW)) == 1
            after: str | None = ""
            while after is not None:
                after = upkeep.forget_people(connection, NOW - 300 * DAY, after)
            assert cohorts.reassign(connection, {"0123": "numbers"}, "") is not None
            assert caseload(connection, CaseloadFilter()).rows[0].cohort == "numbers"
        database.close()


def test_every_table_of_people_loses_the_rows_of_one(database: Database, directory: KeyDirectory) -> None:
    with database.engine.connect() as connection, connection.begin():
        kept(connection, [*everything("anna"), *everything("berta")])
        cohorts.replace_members(connection, [("anna", "a"), ("berta", "b")])
        subject = directory.subjects_of(["anna"])["anna"].id
        deleted = forget_person(connection, subject)
        assert set(deleted) == {table.name for table in PERSONAL}
        assert all(deleted.values())
        for table in PERSONAL:
            assert subject.hex() not in connection.scalars(select(table.c.user_id)).all()
            assert connection.execute(select(table)).all() != []


@pytest.fixture
def server(request: pytest.FixtureRequest, history: History) -> PostgresServer | None:
    """Whose files hold the history; None for SQLite."""
    return None if history.settings.database_url is None else request.getfixturevalue("postgres")


async def test_nothing_of_a_sealed_person_ever_reaches_the_disk(
    history: History, server: PostgresServer | None
) -> None:
    user, number = f"never-{uuid4().hex}", Random().random()
    words = [user.encode(), struct.pack("<d", number), struct.pack(">d", number), repr(number).encode()]
    database = history.opened("on")
    records = [replace(each, probability=number) if isinstance(each, RiskScored) else each for each in everything(user)]
    await database.write(kept, records)
    await database.write(kept, [score(user, 0.5, number)])
    assert (await database.read(caseload, CaseloadFilter(search=user))).rows[0].last_probability == number
    if server is not None:
        with database.engine.connect() as connection:
            connection.execute(text("CHECKPOINT"))
    assert on_disk(history, words, server) == {}
    database.close()
    assert on_disk(history, words, server) == {}


async def test_what_was_in_clear_leaves_the_files_of_sqlite(tmp_path: Path) -> None:
    history, user = History(Settings(home=tmp_path)), f"once-{uuid4().hex}"
    others = [f"other-{number}" for number in range(200)]
    database = history.opened("off")
    await database.write(kept, [each for name in (user, *others) for each in everything(name)])
    assert on_disk(history, [user.encode()], None) != {}
    deleted = await database.write(forget_person, bytes(16), user)
    assert deleted["scores"] == 3
    await database.scrub()
    assert on_disk(history, [user.encode(), repr(CANARY).encode() + user.encode()], None) == {}
    assert len((await database.read(caseload, CaseloadFilter(), None, 200)).rows) == 200
    database.close()


async def test_what_is_taken_over_leaves_the_files_of_sqlite(tmp_path: Path) -> None:
    history, user = History(Settings(home=tmp_path)), f"once-{uuid4().hex}"
    clear = history.opened("off")
    await clear.write(kept, everything(user))
    clear.close()
    sealed = history.opened("on")
    await sealed.write(seal_all)
    await sealed.scrub()
    assert on_disk(history, [user.encode()], None) == {}
    assert len(await sealed.read(scores, user, NOW - 9 * DAY, NOW)) == 3
    sealed.close()

"""Sessions of staff."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select

from streams.access import sessions
from streams.access.sessions import Lifetimes, Session
from streams.access.viewer import StaffRole
from streams.history.tables import SESSIONS
from tests.unit.streams.access.protected import memory_database

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
LIVES = Lifetimes(idle=timedelta(minutes=30), absolute=timedelta(hours=12))
ANN = Session("ann", frozenset({StaffRole.CLINICIAN}), ("north",), "sealed")


@pytest.fixture
def connection() -> Connection:
    return memory_database().engine.connect()


def started(connection: Connection, session: Session = ANN, now: datetime = NOW) -> str:
    session_id = sessions.new_id()
    sessions.start(connection, session_id, session, now, LIVES)
    return session_id


def test_a_session_is_found_by_its_id_alone(connection: Connection) -> None:
    session_id = started(connection)
    assert sessions.find(connection, session_id, NOW, LIVES) == ANN
    for other in ("", sessions.hashed(session_id), session_id[:-1], sessions.new_id()):
        assert sessions.find(connection, other, NOW, LIVES) is None


def test_who_reads_the_table_cannot_take_a_session_over(connection: Connection) -> None:
    session_id = sessions.new_id()
    sessions.start(
        connection, session_id, Session("ann", ANN.roles, None, sessions.seal(session_id, "token")), NOW, LIVES
    )
    stored = str(connection.execute(select(SESSIONS)).all())
    assert session_id not in stored
    assert "token" not in stored
    (sealed,) = connection.scalars(select(SESSIONS.c.sealed_id_token))
    assert sessions.unseal(session_id, sealed) == "token"
    assert sessions.unseal(sessions.new_id(), sealed) == ""


def test_all_cohorts_are_not_no_cohorts(connection: Connection) -> None:
    for cohorts in (None, (), ("a", "b")):
        found = sessions.find(connection, started(connection, Session("x", frozenset(), cohorts)), NOW, LIVES)
        assert found is not None
        assert found.cohorts == cohorts


def test_a_session_that_is_not_used_ends(connection: Connection) -> None:
    session_id = started(connection)
    assert sessions.find(connection, session_id, NOW + timedelta(minutes=29), LIVES) is not None
    assert sessions.find(connection, session_id, NOW + timedelta(minutes=30), LIVES) is None


def test_a_session_that_is_used_ends_at_its_time(connection: Connection) -> None:
    session_id = started(connection)
    for minutes in range(20, 12 * 60, 20):
        now = NOW + timedelta(minutes=minutes)
        found = sessions.find(connection, session_id, now, LIVES)
        assert found is not None
        assert found.unseen
        sessions.touch(connection, session_id, now)
    assert sessions.find(connection, session_id, NOW + timedelta(hours=12), LIVES) is None


def test_the_last_use_is_written_once_a_minute(connection: Connection) -> None:
    session_id = started(connection)
    unseen = [
        found.unseen
        for seconds in (0, 59, 60)
        if (found := sessions.find(connection, session_id, NOW + timedelta(seconds=seconds), LIVES))
    ]
    assert unseen == [False, False, True]


def test_sign_out_ends_one_session_or_all_of_the_subject(connection: Connection) -> None:
    one, two, other = started(connection), started(connection), started(connection, Session("bob", ANN.roles, None))
    sessions.end(connection, one)
    assert sessions.find(connection, one, NOW, LIVES) is None
    assert sessions.find(connection, two, NOW, LIVES) is not None
    assert sessions.end_all(connection, "ann") == 1
    assert sessions.find(connection, two, NOW, LIVES) is None
    assert sessions.find(connection, other, NOW, LIVES) is not None


def test_sessions_that_are_over_are_removed(connection: Connection) -> None:
    started(connection)
    started(connection, now=NOW + timedelta(days=1))
    assert len(connection.execute(select(SESSIONS)).all()) == 1


def test_ids_are_random_and_the_token_of_forms_follows_from_them() -> None:
    ids = {sessions.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 43 for each in ids)
    assert len({ANN.viewer(each).csrf_token for each in ids}) == 100

"""One contract for the history in both databases."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Row, Table, select

from schemas.event_enums import CareActionKind, CareOutcome, MarkKind
from schemas.events import AlertState, Band
from schemas.settings import Settings
from streams.history import cohorts, live, operations
from streams.history.care import apply_action, marks
from streams.history.caseload import Attention, CaseloadFilter, caseload, caseload_counts
from streams.history.database import Database, known_errors
from streams.history.episode import episode, episodes
from streams.history.opened_rows import opened
from streams.history.person import person, scores
from streams.history.sealing import enrolled, may_be_sealed
from streams.history.tables import COHORT_MEMBERS, FACTS, METADATA, PERSONAL, SCORES
from streams.history.writes import batch, positions, upkeep
from streams.history.writes.batch import Kept
from streams.history.writes.positions import Fenced
from tests.history import KEEPING, NOW, NOW_MS, action, alert, letter, parts, score
from workers.privacy.sealing import close_all

DAY = timedelta(days=1)
MANY = CaseloadFilter(cohorts=("north", "south", *map(str, range(100))))


POSTGRES = pytest.mark.postgres
KINDS = [
    pytest.param(("sqlite", "off"), id="sqlite"),
    pytest.param(("sqlite", "on"), id="sqlite-sealed"),
    pytest.param(("postgresql", "off"), id="postgresql", marks=POSTGRES),
    pytest.param(("postgresql", "on"), id="postgresql-sealed", marks=POSTGRES),
]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty history of this version, with rows in clear and sealed."""
    kind, seal = request.param
    url = None if kind == "sqlite" else request.getfixturevalue("postgres_url")
    settings = Settings(home=tmp_path, database_url=url, seal=seal)
    Database.migrate(settings)
    opened = Database.open(settings)
    yield opened
    opened.close()
    close_all()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as connection, connection.begin():
        yield connection


def store(connection: Connection, records: Sequence[Kept], start: int = 0) -> int:
    """Store records as the next ones of their topics."""
    made = parts(records, start)
    positions.stored(connection, [part.step.at for part in made])
    return batch.store(connection, made, KEEPING, NOW_MS)


def queue(connection: Connection, **wanted: object) -> list[tuple[str, str]]:
    """Pseudonyms and reasons of the first page of the caseload."""
    page = caseload(connection, CaseloadFilter(**wanted))  # type: ignore[arg-type]
    return [(row.user_id, str(row.attention)) for row in page.rows]


def rows_of(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, in clear and in order."""

    def rows(table: Table) -> Sequence[Row[Any]]:
        framed = table in PERSONAL and table is not COHORT_MEMBERS
        return opened(connection, select(table), table) if framed else connection.execute(select(table)).all()

    return {table.name: sorted(map(tuple, rows(table)), key=repr) for table in METADATA.sorted_tables}


def spoken(user: str, days: Sequence[float], probability: float | None = 0.3) -> list[Kept]:
    """Scores of memos recorded so many days ago each."""
    return [score(user, day, probability) for day in days]


DAILY = tuple(float(day) for day in range(20, -1, -1))


def test_a_score_is_stored_once_with_all_that_it_says(connection: Connection) -> None:
    one = score("anna", 1.0)
    assert store(connection, [one, one]) == 1
    assert store(connection, [one], start=2) == 0
    (row,) = scores(connection, "anna", NOW - 2 * DAY, NOW)
    assert all(getattr(row, name) == getattr(one, name) for name in row.__slots__)
    assert person(connection, "anna").row.memos == 1  # type: ignore[union-attr]


def test_a_later_score_of_a_memo_replaces_the_earlier_one_in_any_order(connection: Connection) -> None:
    early = score("anna", 1.0, None)
    late = replace(early, score_id="again", scored_at=NOW, probability=0.8, band=Band.HIGH, reasons=())
    store(connection, [late, early])
    store(connection, [score("bert", 1.0, None)], start=2)
    store(connection, [replace(late, user_id="bert", memo_id="bert/1", score_id="b again")], start=3)
    for user in ("anna", "bert"):
        (row,) = scores(connection, user, NOW - 2 * DAY, NOW)
        assert row.probability == 0.8
        found = person(connection, user)
        assert found is not None
        assert (found.row.memos, found.row.spark) == (1, (0.8,))


def test_people_are_in_the_order_in_which_they_need_a_look(connection: Connection) -> None:
    records = [record for user in ("calm", "warned", "grave", "seen") for record in spoken(user, DAILY)]
    records += spoken("silent", DAILY[:10]) + spoken("unjudged", DAILY, None)
    records += [alert("warned", 3.0), alert("seen", 1.0), alert("grave", 9.0)]
    records += [alert("grave", 2.0, AlertState.ESCALATED)]
    records += [action("seen", CareActionKind.ACKNOWLEDGED, dedup_key="episode seen", outcome=CareOutcome.CONTACTED)]
    store(connection, records)
    assert queue(connection) == [
        ("grave", "critical"),
        ("warned", "warning"),
        ("seen", "warning"),
        ("silent", "silent"),
        ("unjudged", "unjudged"),
        ("calm", "none"),
    ]
    counts = caseload_counts(connection)
    assert (counts.people, counts.open_episodes, counts.silent, counts.unjudged) == (6, 3, 1, 1)


def test_pages_follow_each_other_without_a_gap_or_a_repetition(connection: Connection) -> None:
    records: list[Kept] = []
    for number in range(57):
        user = f"{'north' if number % 3 else 'south'}-{number:02}"
        records += spoken(user, (3.0, 2.0, 1.0, 0.0) if number % 5 else (40.0, 39.0, 38.0, 37.0))
        records += [alert(user, 1.0)] if number % 7 == 0 else []
    store(connection, records)
    filters = [CaseloadFilter(), CaseloadFilter(cohorts=("north", "south")), MANY]
    for wanted in filters if may_be_sealed(connection) else [*filters, CaseloadFilter(search="th-")]:
        whole = [row.user_id for row in caseload(connection, wanted, limit=100).rows]
        found, after = [], None
        while True:
            page = caseload(connection, wanted, after, limit=10)
            found += [row.user_id for row in page.rows]
            after = page.next
            if after is None:
                break
        assert found == whole
        assert len(set(found)) == 57


def test_a_caseload_is_searched_and_filtered_by_everything_at_once(connection: Connection) -> None:
    records = spoken("north-Anna", DAILY) + spoken("south-anna", DAILY) + spoken("north-50%", DAILY)
    store(connection, [*records, alert("north-Anna", 2.0), alert("south-anna", 30.0)])
    if may_be_sealed(connection):
        assert [user for user, _ in queue(connection, search=" north-Anna ")] == ["north-Anna"]
        assert queue(connection, search="north-anna") == queue(connection, search="north-Ann") == []
    else:
        assert [user for user, _ in queue(connection, search="ANNA")] == ["north-Anna", "south-anna"]
        assert [user for user, _ in queue(connection, search="50%")] == ["north-50%"]
        assert [user for user, _ in queue(connection, search="N")] == ["north-Anna", "north-50%"]
    assert queue(connection, search="na") == []
    assert queue(connection, search="a\0b") == []
    assert [user for user, _ in queue(connection, cohorts=("south",))] == ["south-anna"]
    assert queue(connection, cohorts=()) == []
    assert [user for user, _ in queue(connection, states=frozenset({Attention.NONE}))] == ["north-50%"]
    assert [user for user, _ in queue(connection, since=NOW - 3 * DAY)] == ["north-Anna"]
    everything = {"search": "south-anna", "cohorts": ("south",), "states": frozenset({Attention.WARNING})}
    assert [user for user, _ in queue(connection, **everything)] == ["south-anna"]
    assert queue(connection, since=NOW - 3 * DAY, **everything) == []


@pytest.mark.parametrize("after", ["", "x", "WzEsMl0", "ü", "bnVsbA", "W251bGwsMSwiYSJd", "WzAsMSwiXHUwMDAwIl0"])
def test_a_cursor_that_is_none_is_refused(connection: Connection, after: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        caseload(connection, CaseloadFilter(), after)


def test_several_episodes_of_one_person_are_one_row(connection: Connection) -> None:
    store(connection, spoken("anna", DAILY))
    level = replace(alert("anna", 1.0), alert_id="level", dedup_key="level anna")
    store(connection, [alert("anna", 5.0), alert("anna", 2.0, AlertState.ESCALATED), level], start=0)
    (row,) = caseload(connection, CaseloadFilter()).rows
    assert row.attention is Attention.CRITICAL
    assert row.episode is not None
    assert row.episode.dedup_key == "episode anna"
    assert [one.dedup_key for one in episodes(connection, "anna")] == ["level anna", "episode anna"]
    store(connection, [alert("anna", 0.5, AlertState.RESOLVED)], start=3)
    (row,) = caseload(connection, CaseloadFilter()).rows
    assert row.episode is not None
    assert (row.attention, row.episode.dedup_key) == (Attention.WARNING, "level anna")


def test_an_episode_has_its_steps_and_actions(connection: Connection) -> None:
    steps = [alert("anna", 5.0), alert("anna", 3.0, AlertState.ESCALATED), alert("anna", 1.0, AlertState.RESOLVED)]
    store(connection, [*reversed(steps)])
    key = "episode anna"
    first = action("anna", CareActionKind.ACKNOWLEDGED, 2.0, dedup_key=key, outcome=CareOutcome.CONTACTED, note="a\0b")
    assert apply_action(connection, first)
    assert not apply_action(connection, first)
    assert apply_action(connection, action("anna", CareActionKind.HANDED_OVER, 1.0, dedup_key=key, assignee="dr-b"))
    found = episode(connection, key)
    assert found is not None
    assert found.steps == tuple(steps)
    assert [one.action for one in found.actions] == ["acknowledged", "handed_over"]
    assert (found.acknowledged, found.outcome, found.assignee) == (first, CareOutcome.CONTACTED, "dr-b")
    assert (found.severity, found.opened_at, found.closed_at) == ("critical", steps[0].at, steps[2].at)
    assert episode(connection, "another") is None


def test_an_alert_cannot_take_the_episode_of_another_user(connection: Connection) -> None:
    store(connection, [alert("anna", 2.0)])
    thief = replace(alert("thief", 9.0), dedup_key="episode anna")
    store(connection, [thief, replace(thief, alert_id="raised anna")], start=1)
    found = episode(connection, "episode anna")
    assert found is not None
    assert [step.user_id for step in found.steps] == ["anna"]


def test_a_mute_and_marks_are_those_of_the_last_word(connection: Connection) -> None:
    until = NOW + 3 * DAY
    mute = action("anna", CareActionKind.MUTED, 1.0, until=until, note="holiday")
    cold = action("anna", CareActionKind.MARKED, 2.0, mark=MarkKind.ILLNESS, since=NOW - 3 * DAY, excluded=True)
    trip = action("anna", CareActionKind.MARKED, 1.0, mark=MarkKind.TRAVEL)
    store(connection, [score("anna", 1.0), mute, cold, trip])
    (row,) = caseload(connection, CaseloadFilter()).rows
    assert row.muted_until == until
    assert [(mark.kind, mark.excluded) for mark in marks(connection, "anna")] == [
        (MarkKind.ILLNESS, True),
        (MarkKind.TRAVEL, False),
    ]
    apply_action(connection, action("anna", CareActionKind.UNMUTED))
    apply_action(connection, action("anna", CareActionKind.UNMARKED, mark_id=cold.action_id))
    (row,) = caseload(connection, CaseloadFilter()).rows
    assert row.muted_until is None
    assert [mark.kind for mark in marks(connection, "anna")] == [MarkKind.TRAVEL]


def test_a_mute_of_a_person_without_a_row_holds_once_history_has_read_it(connection: Connection) -> None:
    mute = action("anna", CareActionKind.MUTED, until=NOW + 3 * DAY, note="holiday")
    enrolled(connection, ["anna"])  # where rows are sealed, as whoever wrote the action to its topic did
    assert apply_action(connection, mute)
    assert store(connection, [mute, score("anna", 1.0)]) == 1
    (row,) = caseload(connection, CaseloadFilter()).rows
    assert row.muted_until == mute.until


def test_the_same_records_in_any_batches_make_the_same_rows(connection: Connection) -> None:
    records: list[Kept] = [record for user in ("a", "b", "c") for record in spoken(user, DAILY)]
    records += [alert("a", 3.0), alert("b", 3.0), alert("b", 1.0, AlertState.RESOLVED), letter("x"), letter("y")]
    records += [action("a", CareActionKind.ACKNOWLEDGED, dedup_key="episode a"), action("c", CareActionKind.NOTED)]
    store(connection, records)
    whole = rows_of(connection)
    for table in METADATA.sorted_tables:
        if table is not FACTS:  # what was noted when the tables were made is not noted again
            connection.execute(table.delete())
    for kind in range(4):
        own = parts(records)[kind].records
        for offset, record in enumerate(own):
            store(connection, [record], start=offset)
    assert rows_of(connection) == whole


def test_a_batch_from_a_position_that_has_moved_on_is_refused(database: Database) -> None:
    made = parts([score("anna", 1.0)])

    def take(connection: Connection) -> int:
        positions.stored(connection, [made[0].step.at])
        return batch.store(connection, made, KEEPING, NOW_MS)

    with database.engine.connect() as connection, connection.begin():
        assert take(connection) == 1
    with pytest.raises(Fenced), database.engine.connect() as connection, connection.begin():
        take(connection)
    with database.engine.connect() as connection, connection.begin():
        assert connection.execute(select(SCORES)).all() != []


def test_a_log_is_not_rewound_from_a_position_that_is_gone(connection: Connection) -> None:
    store(connection, [score("anna", 1.0)])
    positions.rewind(connection, {("risk.scored", 0): 1})
    assert positions.stored(connection, [("risk.scored", 0)])["risk.scored", 0].next_offset == 0
    with pytest.raises(Fenced):
        positions.rewind(connection, {("risk.scored", 0): 1})
    upkeep.reset(connection)
    with pytest.raises(Fenced):
        positions.rewind(connection, {("risk.scored", 0): 0})


def test_live_events_resume_from_any_position(connection: Connection) -> None:
    start = live.position(connection)
    records: list[Kept] = [score("north-a", 2.0), score("north-a", 1.0), alert("north-a", 1.0), letter("x")]
    store(connection, records)
    apply_action(connection, action("north-a", CareActionKind.NOTED))
    events, end = live.since(connection, start)
    assert [(event.topic, event.kind, event.cohort) for event in events] == [
        ("risk.scored", "low", "north"),
        ("risk.scored", "low", "north"),
        ("risk.alerts", "raised", "north"),
    ]
    store(connection, [action("north-a", CareActionKind.NOTED)])
    more, _ = live.since(connection, end)
    assert [(event.topic, event.kind) for event in more] == [("care.actions", "noted")]
    known, seen = start, []
    while True:
        (events, after) = live.since(connection, live.Position.decode(known.encode()), limit=1)
        if not events:
            break
        seen += [event.record_id for event in events]
        known = after
    assert sorted(seen) == sorted(["score of north-a/2", "score of north-a/1", "raised north-a", "noted north-a 0"])


def test_a_position_of_another_history_is_too_old(connection: Connection) -> None:
    with pytest.raises(live.TooOld):
        live.since(connection, live.Position({("risk.scored", 0): 5}))
    with pytest.raises(live.TooOld):
        live.since(connection, live.Position({}, rebuild=3))


def test_the_system_is_counted(connection: Connection) -> None:
    records: list[Kept] = [*spoken("north-a", (1.0, 0.5)), score("south-b", 0.5, None), letter("x"), letter("y", 2.0)]
    records += [alert("north-a", 8.0), alert("south-b", 1.0), letter("z", 0.0, "audio:missing"), letter("x")]
    key, kind = "episode north-a", CareActionKind.ACKNOWLEDGED
    records += [action("north-a", kind, dedup_key=key, outcome=CareOutcome.FALSE_ALARM)]
    store(connection, records)
    since = NOW - 30 * DAY
    assert sum(count.memos for count in operations.memos_per_minute(connection, since)) == 3
    assert list(operations.bundles_in_use(connection, since)) == ["demo-1"]
    first = operations.first_minute(connection)
    assert first is not None
    assert first == min(count.minute for count in operations.memos_per_minute(connection, since))
    letters = operations.dead_letters(connection, since)
    assert [(count.reason, count.letters) for count in letters][-1] == ("audio:undecodable", 1)
    assert sum(count.letters for count in letters) == 3
    raised = operations.alerts_raised(connection, since)
    assert [(count.week.isoweekday(), count.cohort, count.raised) for count in raised] == [
        (1, "north", 1),
        (1, "south", 1),
    ]
    found = operations.precision(connection, since)
    assert [(one.cohort, one.raised, one.precision) for one in found] == [("north", 1, 0.0), ("south", 1, None)]
    assert operations.precision(connection, since, ["south"])[0].cohort == "south"
    assert {one.topic for one in operations.positions(connection, NOW)} == {
        "risk.scored", "risk.alerts", "memos.dead", "care.actions",
    }  # fmt: skip
    assert operations.behind_s(connection, NOW + timedelta(minutes=12)) == 720


def test_cohorts_of_a_file_hold_before_prefixes(connection: Connection) -> None:
    store(connection, [score("north-a", 1.0), score("else", 1.0), alert("north-a", 1.0)])
    assert cohorts.names(connection) == ["", "north"]
    cohorts.replace_members(connection, [("north-a", "ward")])
    last = cohorts.reassign(connection, KEEPING.cohorts, "")
    assert last is not None
    assert cohorts.reassign(connection, KEEPING.cohorts, last) is None
    assert cohorts.names(connection) == ["", "ward"]
    assert [one.cohort for one in operations.alerts_raised(connection, NOW - 30 * DAY)] == ["ward"]


def test_hostile_names_are_names(connection: Connection) -> None:
    users = ["<b>&\"'", "a'; DROP TABLE people; --", "ü" * 64, "𝄞🙂", "%_\\", "x" * 128]
    store(connection, [score(user, 1.0) for user in users])
    assert sorted(user for user, _ in queue(connection)) == sorted(users)
    for user in users:
        assert [found for found, _ in queue(connection, search=user)] == [user]
        assert person(connection, user) is not None
    assert person(connection, "a\0") is None


def test_what_is_older_than_the_retention_is_not_stored(connection: Connection) -> None:
    assert store(connection, [score("anna", 500.0), score("anna", 1.0)]) == 1
    assert person(connection, "anna").row.memos == 1  # type: ignore[union-attr]
    assert [user for user, _ in queue(connection)] == ["anna"]
    with known_errors():
        assert live.position(connection).numbers["risk.scored", 0] == 2

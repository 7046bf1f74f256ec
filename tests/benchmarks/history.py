"""The history at full size: `python -m tests.benchmarks.history [PEOPLE MEMOS]`, about 30 minutes and 20 GB of disk.

Fills PostgreSQL with 1,000,000 people and 30,000,000 scores, takes the times of the queries of pages, the rate of the
consumer on one core in both databases, and rebuilds a history twice. Writes `results/history.md`.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from random import Random

from sqlalchemy import Connection, select, text

from schemas.codec import Codec
from schemas.events import Evidence, RiskScored
from schemas.settings import Settings
from streams.history import live
from streams.history.caseload import Attention, CaseloadFilter, caseload, caseload_counts
from streams.history.database import Database
from streams.history.person import episodes, marks, person, scores
from streams.history.tables import EPISODES, PEOPLE, SCORES
from streams.history.writes import batch, positions, upkeep
from streams.history.writes.batch import Part
from streams.history.writes.positions import Step
from tests.benchmarks.history_data import MARKERS, NOW, SINCE, fill, someone
from tests.benchmarks.machine import provenance
from tests.history import KEEPING, NOW_MS, score
from tests.postgres import PostgresServer, programs

RESULT = Path(__file__).parent / "results" / "history.md"
PEOPLE_COUNT, MEMOS = 1_000_000, 30
OPTIONS = ("shared_buffers=2GB", "max_wal_size=8GB", "wal_level=minimal", "max_wal_senders=0", "autovacuum=off")
REPEATS = 20
CONSUMED, BATCH = 40_000, 2000
COHORTS: tuple[tuple[str, ...] | None, ...] = (None, ("c03",), ("c01", "c02", "c03", "c04", "c05"))
STATES: tuple[frozenset[Attention], ...] = (
    frozenset(), frozenset({Attention.WARNING}), frozenset({Attention.SILENT}), frozenset({Attention.NONE}),
)  # fmt: skip
SEARCHES = ("", "c07-", "c03-1f", "3fa", "3fa9", "zzz")
"""None; a cohort's prefix; a narrow prefix; parts that many, few and no pseudonyms have."""

Query = Callable[[Connection, int], object]
"""A query of a page; the number is of the repetition."""


def main() -> None:
    """Measure everything and write the page."""
    folder = programs()
    if folder is None:
        sys.exit("PostgreSQL is not installed: `make servers` installs it")
    people, memos = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (PEOPLE_COUNT, MEMOS)
    with PostgresServer(folder, OPTIONS) as server:
        settings = Settings(database_url=server.url())
        Database.migrate(settings)
        filled(settings, people, memos)
        lines = [*pages(settings), *consumer(Settings(database_url=server.make("consumer")), "PostgreSQL")]
        lines += rebuilt(Settings(database_url=server.make("rebuilt")))
    with tempfile.TemporaryDirectory() as home:
        lines += consumer(Settings(home=Path(home)), "SQLite")
    RESULT.write_text("\n".join([*head(people, memos), *lines, ""]))


def head(people: int, memos: int) -> list[str]:
    """Title, machine and size."""
    command = provenance("python -m tests.benchmarks.history")
    size = f"PostgreSQL 15 with {people:,} people and {people * memos:,} scores, {', '.join(OPTIONS[:1])}; milliseconds"
    return ["# History", "", command, "", f"{size} of a query function, from this process, connection included.", ""]


def filled(settings: Settings, people: int, memos: int) -> None:
    """Fill the database, and let PostgreSQL know what is in it."""
    database = Database.open(settings)
    with database.engine.connect() as connection, connection.begin():
        fill(connection, people, memos)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
    database.close()


def pages(settings: Settings) -> Iterator[str]:
    """Times of every query of a page."""
    database = Database.open(settings)
    yield "| query | p50 | p95 |"
    yield "|---|---|---|"
    yield _line("caseload: first page", _times(database, lambda c, _: caseload(c, CaseloadFilter())))
    yield _line("caseload: first page of a cohort", _times(database, lambda c, _: caseload(c, _of("c03"))))
    yield _line("caseload: counts", _times(database, lambda c, _: caseload_counts(c)))
    yield _line("caseload: counts of a cohort", _times(database, lambda c, _: caseload_counts(c, ["c03"])))
    yield _line("caseload: twentieth page", _times(database, _twentieth))
    combined = {}
    for cohorts, states, since, search in product(COHORTS, STATES, (None, SINCE), SEARCHES):
        wanted = CaseloadFilter(search, cohorts, states, since)
        combined[wanted] = _times(database, lambda c, _, wanted=wanted: caseload(c, wanted))  # type: ignore[misc]
    every = [time_ms for times in combined.values() for time_ms in times]
    slowest = max(combined, key=lambda wanted: _at(combined[wanted], 0.95))
    yield _line(f"caseload: all {len(combined)} combinations of filters", every)
    named = f"search “{slowest.search}”, {len(slowest.cohorts or ())} cohorts, {len(slowest.states)} states"
    yield _line(f"caseload: the slowest of them ({named})", combined[slowest])
    yield _line("person: row, 400 days of scores, episodes, marks", _times(database, _person))
    yield _line("live: position", _times(database, lambda c, _: live.position(c)))
    yield ""
    database.close()


def _of(cohort: str) -> CaseloadFilter:
    return CaseloadFilter(cohorts=(cohort,))


def _twentieth(connection: Connection, repetition: int) -> None:
    """The page after nineteen others; only the last one counts, as all are alike."""
    after = _CURSORS.get("after")
    if after is None:
        for _ in range(19):
            after = caseload(connection, CaseloadFilter(), after).next
        _CURSORS["after"] = after
    caseload(connection, CaseloadFilter(), after)


_CURSORS: dict[str, str | None] = {}


def _person(connection: Connection, repetition: int) -> None:
    user = someone(connection, repetition * 17 + 3)
    person(connection, user)
    scores(connection, user, NOW - timedelta(days=400), NOW)
    episodes(connection, user)
    marks(connection, user)


def _times(database: Database, query: Query) -> list[float]:
    """Milliseconds of each repetition, after one that warms up."""
    times = []
    for repetition in range(REPEATS + 1):
        began = time.perf_counter()
        with database.engine.connect() as connection, connection.begin():
            query(connection, repetition)
        times.append((time.perf_counter() - began) * 1000)
    return times[1:]


def _at(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def _line(name: str, times: Sequence[float]) -> str:
    print(name, f"{_at(times, 0.5):.1f} {_at(times, 0.95):.1f}", flush=True)
    return f"| {name} | {_at(times, 0.5):.1f} | {_at(times, 0.95):.1f} |"


def encoded(count: int) -> list[bytes]:
    """Scores of 5,000 people as they are on the topic, six markers each."""
    rng, codec = Random(1), Codec()
    evidence = tuple(
        Evidence(name, rng.random(), rng.gauss(0, 1), False, rng.random(), rng.random()) for name in MARKERS
    )
    made = []
    for number in range(count):
        one = score(f"north-{rng.randrange(5000):06}", rng.random() * 60)
        made.append(codec.encode(replace(one, evidence=evidence, memo_id=f"{number:036}", score_id=f"s{number:036}")))
    return made


def consumed(database: Database, records: Sequence[bytes], size: int = BATCH) -> None:
    """Decode and store them, in batches of a size, as the consumer does."""
    codec, place = Codec(), ("risk.scored", 0)
    with database.engine.connect() as connection, connection.begin():
        positions.stored(connection, [place])
    for start in range(0, len(records), size):
        some = tuple(codec.decode(value, RiskScored) for value in records[start : start + size])
        step = Step(place, start, start + len(some), len(some), NOW_MS, NOW_MS)
        with database.engine.connect() as connection, connection.begin():
            batch.store(connection, [Part(step, some)], KEEPING, NOW_MS)


def consumer(settings: Settings, name: str) -> Iterator[str]:
    """Scores a second of the consumer, from their bytes to the commit."""
    Database.migrate(settings)
    database, records = Database.open(settings), encoded(CONSUMED)
    began, used = time.perf_counter(), time.process_time()
    consumed(database, records)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    database.close()
    yield f"{name}: the consumer stores {CONSUMED / wall_s:,.0f} scores a second of the clock, and"
    yield f"{CONSUMED / cpu_s:,.0f} for each second of its core, in batches of {BATCH:,}."
    yield ""


def rebuilt(settings: Settings) -> Iterator[str]:
    """Whether two rebuilds, in batches of other sizes, give the same rows."""
    Database.migrate(settings)
    database, records, found = Database.open(settings), encoded(CONSUMED // 4), []
    for size in (BATCH, 777):
        with database.engine.connect() as connection, connection.begin():
            upkeep.reset(connection)
        consumed(database, records, size)
        with database.engine.connect() as connection:
            found.append([sorted(map(tuple, connection.execute(select(t)))) for t in (PEOPLE, SCORES, EPISODES)])
    database.close()
    same = "identical" if found[0] == found[1] else "different"
    yield f"Rebuilt twice from {CONSUMED // 4:,} records, in batches of 2,000 and of 777: the rows are {same}."
    yield ""


if __name__ == "__main__":
    main()

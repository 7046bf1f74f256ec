"""A large history, made inside PostgreSQL: people of every rank, their memos and their episodes."""

import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from schemas.events import Band, Evidence
from streams.history import attention
from streams.history.attention import Details, RecentMemo
from streams.history.tables import unix_ms

NOW = datetime.now(UTC)
NOW_MS = unix_ms(NOW)
COHORTS = 20
TEMPLATES = 500
MARKERS = ("pause_share", "pause_mean_s", "speech_rate", "f0_sd_semitones", "jitter", "hnr_db")


def details() -> bytes:
    """What a usual score says: six markers."""
    rng = random.Random(1)
    evidence = tuple((name, rng.random(), rng.gauss(0, 1), False, rng.gauss(0, 1), rng.random()) for name in MARKERS)
    assert all(Evidence(*each) for each in evidence)
    return attention._encoder.encode(Details((), ("acoustic", "embedding"), evidence))


def recents() -> list[bytes]:
    """The latest memos of some people, who speak daily."""
    rng = random.Random(2)
    found = []
    for _ in range(TEMPLATES):
        memos = tuple(
            RecentMemo(NOW_MS - day * attention.DAY_MS, rng.randbytes(8), rng.random(), str(Band.LOW), "")
            for day in range(attention.RECENT, 0, -1)
        )
        found.append(attention.recent_to_bytes(memos))
    return found


def fill(connection: Connection, people: int, memos: int) -> None:
    """Make so many people, with so many memos each; the tables must be empty."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SET LOCAL work_mem = '256MB'"))
    connection.execute(text("CREATE TEMPORARY TABLE template (id integer, recent bytea)"))
    connection.execute(
        text("INSERT INTO template VALUES (:id, :recent)"),
        [{"id": number, "recent": recent} for number, recent in enumerate(recents())],
    )
    given = {"people": people, "memos": memos, "now": NOW_MS, "day": attention.DAY_MS, "details": details()}
    for statement in (_PEOPLE, _EPISODES, *_SCORES, _POSITIONS):
        connection.execute(text(statement), {name: value for name, value in given.items() if f":{name}" in statement})


_PEOPLE = f"""
INSERT INTO people (user_id, folded, cohort, rank, since_ms, episode_key, episode_rank, episode_ms, calm_ms, first_ms,
                    last_ms, silent_ms, memos, recent, muted_ms)
SELECT user_id, user_id, cohort, rank, :now - (n * 7919 % 400) * CAST(:day AS bigint) - n % 86400000,
       CASE WHEN rank < 4 THEN 'episode-' || n END, CASE WHEN rank < 4 THEN rank END,
       CASE WHEN rank < 4 THEN :now - (n * 7919 % 400) * CAST(:day AS bigint) - n % 86400000 END,
       NULL, :now - 400 * CAST(:day AS bigint), :now - CAST(:day AS bigint), :now + 2 * CAST(:day AS bigint), :memos,
       recent, NULL
FROM (SELECT n, 'c' || lpad((n % {COHORTS})::text, 2, '0') AS cohort,
             'c' || lpad((n % {COHORTS})::text, 2, '0') || '-' || substr(md5(n::text), 1, 12) AS user_id,
             CASE WHEN n % 1000 < 5 THEN 0 WHEN n % 1000 < 10 THEN 1 WHEN n % 1000 < 20 THEN 2
                  WHEN n % 1000 < 30 THEN 3 WHEN n % 1000 < 80 THEN 4 WHEN n % 1000 < 100 THEN 5 ELSE 6 END AS rank
      FROM generate_series(1::bigint, :people) AS n) AS made
JOIN template ON template.id = n % {TEMPLATES}
ORDER BY user_id
"""
_EPISODES = """
INSERT INTO episodes (dedup_key, user_id, cohort, kind, severity, opened_ms, since_ms, closed_ms, summary, bundle_id,
                      acknowledged_ms, outcome, assignee)
SELECT episode_key, user_id, cohort, 'drift', CASE WHEN rank < 2 THEN 'critical' ELSE 'warning' END, episode_ms,
       episode_ms - 4 * 86400000::bigint, NULL, 'speaks with longer pauses than usual for 9 days', 'demo-1',
       CASE WHEN rank IN (1, 3) THEN episode_ms END, CASE WHEN rank IN (1, 3) THEN 'contacted' END, NULL
FROM people WHERE episode_key IS NOT NULL
"""
# Rows first and in order, then the indexes: as fast as the disk.
_SCORES = (
    "ALTER TABLE scores DROP CONSTRAINT scores_pkey",
    "DROP INDEX scores_seq",
    """
INSERT INTO scores (user_id, recorded_ms, memo_id, score_id, uploaded_ms, scored_ms, probability, band, details,
                    bundle_id, partition, seq)
SELECT user_id, at_ms, substr(md5(user_id || m), 1, 20), substr(md5(user_id || m), 1, 20), at_ms + 5000, at_ms + 9000,
       0.2 + 0.01 * m, 'low', :details, 'demo-1', at_ms % 4, row_number() OVER ()
FROM (SELECT user_id, m, :now - m * CAST(:day AS bigint) - (hashtext(user_id) & 65535) AS at_ms
      FROM (SELECT user_id FROM people ORDER BY user_id) AS ordered, generate_series(1::bigint, :memos) AS m) AS made
""",
    "ALTER TABLE scores ADD PRIMARY KEY (user_id, recorded_ms, memo_id)",
    "CREATE INDEX scores_seq ON scores (partition, seq)",
)
_POSITIONS = """
INSERT INTO positions (topic, partition, next_offset, seq, last_ms, current_ms)
SELECT 'risk.scored', p, CAST(:people AS bigint), CAST(:people AS bigint) * :memos, :now, :now
FROM generate_series(0, 3) AS p
"""


def someone(connection: Connection, number: int) -> str:
    """The pseudonym of a person."""
    found = connection.scalar(
        text("SELECT user_id FROM people WHERE user_id >= :start ORDER BY user_id LIMIT 1"),
        {"start": f"c{number % COHORTS:02}-{number * 2654435761 % 16**8:08x}"},
    )
    assert isinstance(found, str)
    return found


SINCE = NOW - timedelta(days=7)

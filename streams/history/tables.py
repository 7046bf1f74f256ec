"""The tables of the history, the same in SQLite and PostgreSQL.

Times are integers, Unix milliseconds, as on the wire. Texts that name somebody or something compare by their bytes in
both databases, so both give the same order. Records that are rarely read whole are kept in their Avro frame, which
every later version can read. `streams/history/migrations` creates these tables; a test compares the two.

A row of a person is in clear, or sealed: then `user_id` is the person's subject, and the columns that `Hidden` marks
have their values in one sealed frame (`streams/history/sealing.py`).
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

from schemas.privacy_marks import NOT_PERSONAL, Erased, Marks, Sealed

MARKS = "privacy"
"""Key of a table's marks in its `info`."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def unix_ms(moment: datetime) -> int:
    """An aware time as it is stored."""
    return round(moment.timestamp() * 1000)


def moment(ms: int) -> datetime:
    """A stored time, in UTC."""
    return EPOCH + ms * MILLISECOND


def maybe_moment(ms: int | None) -> datetime | None:
    """The same for a column that may be empty."""
    return None if ms is None else moment(ms)


class Hidden(StrEnum):
    """What a column holds in a sealed row. Columns without this mark are in clear: queries sort or count by them."""

    FRAME = "frame"
    """The sealed frame, with the values of this column and of those marked INSIDE and DIGEST."""
    INSIDE = "inside"
    """Nothing: its value is in the frame."""
    DIGEST = "digest"
    """A keyed digest, by which the row is found again; its value is in the frame."""
    EMPTY = "empty"
    """Nothing, and its value is not kept."""

    @property
    def mark(self) -> dict[str, "Hidden"]:
        """The `info` of a column."""
        return {"hidden": self}


METADATA = MetaData()
OF_A_PERSON = {MARKS: Marks(Sealed.ROW, Erased.DELETED)}
"""Of tables with a `user_id`: an erasure deletes the person's rows."""
OF_NOBODY = {MARKS: NOT_PERSONAL}
NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""A text that is compared by its bytes."""

POSITIONS = Table(
    "positions",
    METADATA,
    Column("topic", NAME, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("current_ms", BigInteger, nullable=False),
    info=OF_NOBODY,
)
"""What of each partition is stored.

next_offset: of the first record that is not; seq: records stored so far, which also number the rows that they made;
last_ms: Kafka's timestamp of the last record, by which another log under the same name is recognised, -1 before the
first; current_ms: everything that was written before this moment is stored.
"""

NOT_SILENT = text("rank > 4")
"""Of people that silence would change: those who are unjudged, or need no look."""
PEOPLE = Table(
    "people",
    METADATA,
    Column("user_id", NAME, primary_key=True),
    Column("folded", NAME, nullable=False, info=Hidden.EMPTY.mark),
    Column("cohort", NAME, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("episode_key", NAME),
    Column("episode_rank", SmallInteger),
    Column("episode_ms", BigInteger),
    Column("calm_ms", BigInteger),
    Column("first_ms", BigInteger),
    Column("last_ms", BigInteger),
    Column("silent_ms", BigInteger),
    Column("memos", Integer, nullable=False),
    Column("recent", LargeBinary, nullable=False, info=Hidden.FRAME.mark),
    Column("muted_ms", BigInteger),
    Index("people_queue", "rank", "since_ms", "user_id", postgresql_include=["folded"]),
    Index("people_cohort_queue", "cohort", "rank", "since_ms", "user_id"),
    Index("people_folded", "folded"),
    Index("people_silent", "silent_ms", postgresql_where=NOT_SILENT, sqlite_where=NOT_SILENT),
    sqlite_with_rowid=False,  # the rows lie in the order of the primary key
    info=OF_A_PERSON,
)
"""One row a person, with everything that a row of the caseload shows but the words of the episode.

folded: the pseudonym without case, for the search; rank: `attention.Rank`, and since_ms since when it holds;
episode_key, episode_rank, episode_ms: of the open episode that matters most, and when it was opened; calm_ms: end of
the last closed one; first_ms, last_ms: of the memos; silent_ms: from when on the person counts as silent; memos: all so
far; recent: `recent.Recent`, the latest memos; muted_ms: end of the mute.
"""

SCORES = Table(
    "scores",
    METADATA,
    Column("user_id", NAME, primary_key=True),
    Column("recorded_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("memo_id", NAME, primary_key=True, info=Hidden.DIGEST.mark),
    Column("score_id", NAME, nullable=False, info=Hidden.DIGEST.mark),
    Column("uploaded_ms", BigInteger, nullable=False),
    Column("scored_ms", BigInteger, nullable=False),
    Column("probability", Double, info=Hidden.INSIDE.mark),
    Column("band", Text, nullable=False, info=Hidden.INSIDE.mark),
    Column("details", LargeBinary, nullable=False, info=Hidden.FRAME.mark),
    Column("bundle_id", Text, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("scores_seq", "partition", "seq"),
    sqlite_with_rowid=False,  # the rows lie in the order of the primary key
    info=OF_A_PERSON,
)
"""The score of each memo, the latest where a memo was scored again. details: `recent.Details`."""

ALERTS = Table(
    "alerts",
    METADATA,
    Column("alert_id", NAME, primary_key=True, info=Hidden.DIGEST.mark),
    Column("dedup_key", NAME, nullable=False),
    Column("user_id", NAME, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False, info=Hidden.FRAME.mark),
    Column("partition", SmallInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index("alerts_episode", "dedup_key"),
    Index("alerts_user", "user_id"),
    Index("alerts_seq", "partition", "seq"),
    info=OF_A_PERSON,
)
"""Every step of every episode. record: a RiskAlert in its Avro frame."""

EPISODES = Table(
    "episodes",
    METADATA,
    Column("dedup_key", NAME, primary_key=True),
    Column("user_id", NAME, nullable=False),
    Column("cohort", NAME, nullable=False),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Column("summary", Text, nullable=False, info=Hidden.INSIDE.mark),
    Column("bundle_id", Text, nullable=False),
    Column("acknowledged_ms", BigInteger),
    Column("outcome", Text),
    Column("assignee", Text, info=Hidden.INSIDE.mark),
    Column("sealed", LargeBinary, info=Hidden.FRAME.mark),
    Index("episodes_user", "user_id", "opened_ms"),
    Index("episodes_opened", "opened_ms"),
    info=OF_A_PERSON,
)
"""What the steps and the actions of an episode come to; always made from all of them. sealed: None in a clear row."""

ACTIONS = Table(
    "actions",
    METADATA,
    Column("action_id", NAME, primary_key=True, info=Hidden.DIGEST.mark),
    Column("user_id", NAME, nullable=False),
    Column("dedup_key", NAME),
    Column("at_ms", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False, info=Hidden.FRAME.mark),
    Column("partition", SmallInteger),
    Column("seq", BigInteger),
    Index("actions_user", "user_id"),
    Index("actions_episode", "dedup_key"),
    Index("actions_seq", "partition", "seq"),
    info=OF_A_PERSON,
)
"""What people did. record: a CareAction in its Avro frame; partition and seq: None until history has read it."""

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("dead_letter_id", NAME, primary_key=True),
    Column("hour_ms", BigInteger, nullable=False),
    Column("stage", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("dead_letters_hour", "hour_ms"),
    info=OF_NOBODY,
)
"""Dead letters to be counted: of which hour, from which stage, and why. Nothing of the records themselves."""

MINUTES = Table(
    "minutes",
    METADATA,
    Column("minute_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("band", NAME, primary_key=True),
    Column("bundle_id", NAME, primary_key=True),
    Column("memos", Integer, nullable=False),
    info=OF_NOBODY,
)
"""Memos by the minute in which they were scored first."""

COHORT_MEMBERS = Table(
    "cohort_members",
    METADATA,
    Column("user_id", NAME, primary_key=True),
    Column("cohort", NAME, nullable=False),
    sqlite_with_rowid=False,  # the rows lie in the order of the primary key
    info=OF_A_PERSON,
)
"""People whose cohort a file names; it holds before the prefixes of UNDERTONE_COHORTS."""

FACTS = Table(
    "facts",
    METADATA,
    Column("name", NAME, primary_key=True),
    Column("value", Text, nullable=False),
    info=OF_NOBODY,
)
"""Single values: how often the history was rebuilt, and from which prefixes the cohorts were made."""
REBUILDS = "rebuilds"
"""Fact: how often the history was rebuilt. Numbers begin again with each."""

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id_hash", NAME, primary_key=True),
    Column("subject", NAME, nullable=False),
    Column("roles", Text, nullable=False),
    Column("cohorts", Text),
    Column("sealed_id_token", Text, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("sessions_subject", "subject"),
    Index("sessions_expires", "expires_ms"),
    info=OF_NOBODY,
)
"""Sessions of staff: `streams/access/sessions.py`.

id_hash: SHA-256 of the id; roles and cohorts: arrays as JSON, cohorts null for all.
"""

SIGN_INS = Table(
    "sign_ins",
    METADATA,
    Column("cookie_hash", NAME, primary_key=True),
    Column("state_hash", NAME, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("code_verifier", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("sign_ins_expires", "expires_ms"),
    info=OF_NOBODY,
)
"""Browsers that were sent to the identity provider and have not come back: `streams/access/sign_ins.py`."""

PERSONAL = tuple(table for table in METADATA.sorted_tables if table.info[MARKS].erased is Erased.DELETED)
"""Tables whose rows each are of one person, who is their `user_id`."""

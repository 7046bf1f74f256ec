"""The first tables of the history."""

from contextlib import suppress

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "v0001"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create every table."""
    _actions()
    _alerts()
    _cohort_members()
    _dead_letters()
    _episodes()
    _facts()
    _minutes()
    _people()
    _positions()
    _scores()
    _trigrams()


def _actions() -> None:
    op.create_table(
        "actions",
        sa.Column("action_id", NAME, primary_key=True),
        sa.Column("user_id", NAME, nullable=False),
        sa.Column("dedup_key", NAME),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("partition", sa.SmallInteger()),
        sa.Column("seq", sa.BigInteger()),
    )
    op.create_index("actions_episode", "actions", ["dedup_key"])
    op.create_index("actions_seq", "actions", ["partition", "seq"])
    op.create_index("actions_user", "actions", ["user_id"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", NAME, primary_key=True),
        sa.Column("dedup_key", NAME, nullable=False),
        sa.Column("user_id", NAME, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
    )
    op.create_index("alerts_episode", "alerts", ["dedup_key"])
    op.create_index("alerts_seq", "alerts", ["partition", "seq"])
    op.create_index("alerts_user", "alerts", ["user_id"])


def _cohort_members() -> None:
    op.create_table(
        "cohort_members",
        sa.Column("user_id", NAME, primary_key=True),
        sa.Column("cohort", NAME, nullable=False),
        sqlite_with_rowid=False,
    )


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("dead_letter_id", NAME, primary_key=True),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("dead_letters_hour", "dead_letters", ["hour_ms"])


def _episodes() -> None:
    op.create_table(
        "episodes",
        sa.Column("dedup_key", NAME, primary_key=True),
        sa.Column("user_id", NAME, nullable=False),
        sa.Column("cohort", NAME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger()),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("bundle_id", sa.Text(), nullable=False),
        sa.Column("acknowledged_ms", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.Column("assignee", sa.Text()),
    )
    op.create_index("episodes_opened", "episodes", ["opened_ms"])
    op.create_index("episodes_user", "episodes", ["user_id", "opened_ms"])


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("name", NAME, primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )


def _minutes() -> None:
    op.create_table(
        "minutes",
        sa.Column("minute_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("band", NAME, primary_key=True),
        sa.Column("bundle_id", NAME, primary_key=True),
        sa.Column("memos", sa.Integer(), nullable=False),
    )


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("user_id", NAME, primary_key=True),
        sa.Column("folded", NAME, nullable=False),
        sa.Column("cohort", NAME, nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("episode_key", NAME),
        sa.Column("episode_rank", sa.SmallInteger()),
        sa.Column("episode_ms", sa.BigInteger()),
        sa.Column("calm_ms", sa.BigInteger()),
        sa.Column("first_ms", sa.BigInteger()),
        sa.Column("last_ms", sa.BigInteger()),
        sa.Column("silent_ms", sa.BigInteger()),
        sa.Column("memos", sa.Integer(), nullable=False),
        sa.Column("recent", sa.LargeBinary(), nullable=False),
        sa.Column("muted_ms", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_index("people_cohort_queue", "people", ["cohort", "rank", "since_ms", "user_id"])
    op.create_index("people_folded", "people", ["folded"])
    op.create_index("people_queue", "people", ["rank", "since_ms", "user_id"])
    op.create_index(
        "people_silent", "people", ["silent_ms"], postgresql_where=sa.text("rank > 4"), sqlite_where=sa.text("rank > 4")
    )


def _positions() -> None:
    op.create_table(
        "positions",
        sa.Column("topic", NAME, primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("current_ms", sa.BigInteger(), nullable=False),
    )


def _scores() -> None:
    op.create_table(
        "scores",
        sa.Column("user_id", NAME, primary_key=True),
        sa.Column("recorded_ms", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("memo_id", NAME, primary_key=True),
        sa.Column("score_id", NAME, nullable=False),
        sa.Column("uploaded_ms", sa.BigInteger(), nullable=False),
        sa.Column("scored_ms", sa.BigInteger(), nullable=False),
        sa.Column("probability", sa.Double()),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("bundle_id", sa.Text(), nullable=False),
        sa.Column("partition", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("scores_seq", "scores", ["partition", "seq"])


def _trigrams() -> None:
    """An index of the parts of pseudonyms, where PostgreSQL has the extension and this user may create it."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    with suppress(DBAPIError), connection.begin_nested():
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        op.execute("CREATE INDEX people_trigrams ON people USING gin (folded gin_trgm_ops)")

"""Sessions of staff, and sign-ins that have not come back."""

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "sessions",
        sa.Column("id_hash", NAME, primary_key=True),
        sa.Column("subject", NAME, nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("cohorts", sa.Text()),
        sa.Column("sealed_id_token", sa.Text(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("sessions_expires", "sessions", ["expires_ms"])
    op.create_index("sessions_subject", "sessions", ["subject"])
    op.create_table(
        "sign_ins",
        sa.Column("cookie_hash", NAME, primary_key=True),
        sa.Column("state_hash", NAME, nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_verifier", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("sign_ins_expires", "sign_ins", ["expires_ms"])

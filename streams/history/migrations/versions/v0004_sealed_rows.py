"""A frame for what a sealed episode says; the other tables have a column that holds theirs."""

import sqlalchemy as sa
from alembic import op

revision = "v0004"
down_revision = "v0003"


def upgrade() -> None:
    """Add the column, empty; neither database rewrites the table for it."""
    op.add_column("episodes", sa.Column("sealed", sa.LargeBinary()))

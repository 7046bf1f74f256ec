"""The folded pseudonym in the index of the order, so that PostgreSQL searches the first people without their rows."""

from alembic import op

revision = "v0003"
down_revision = "v0002"


def upgrade() -> None:
    """Replace the index; SQLite has none with columns that it only carries."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.drop_index("people_queue", "people")
    op.create_index("people_queue", "people", ["rank", "since_ms", "user_id"], postgresql_include=["folded"])

"""What Alembic runs: the migrations over the connection that `upgrade.migrate` gives it."""

from alembic import context

from streams.history.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True)
context.run_migrations()

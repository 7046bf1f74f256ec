"""Changes of the tables, in their order, run by Alembic from within the program."""

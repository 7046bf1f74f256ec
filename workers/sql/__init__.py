"""SQL databases: connections to SQLite and PostgreSQL, and what their errors mean."""

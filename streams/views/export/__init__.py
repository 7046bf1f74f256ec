"""Everything that is held of one person, for that person: read, and written as one ZIP archive."""

"""One person: what the page about them says, as data, tables and charts."""

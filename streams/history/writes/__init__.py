"""The writing side of the history: rows, people and positions in one transaction, and what time alone changes."""

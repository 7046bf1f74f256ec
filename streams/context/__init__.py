"""Context that people know of and a voice does not tell: times at which memos are left out of a user's normal."""

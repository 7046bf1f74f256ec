"""The page of one episode: why it was raised, what was done about it, and what to do."""

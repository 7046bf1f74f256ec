"""The wire schemas, one `.avsc` a topic; `history/` holds every version that was ever released."""

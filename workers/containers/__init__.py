"""Read audio containers as bytes: their kind, where one recording ends and the next begins, what they declare."""

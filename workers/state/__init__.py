"""State shared by all processes: key → bytes, changed by compare-and-set."""

"""Which processes hold keys in memory, and that they dropped those of an erased person."""

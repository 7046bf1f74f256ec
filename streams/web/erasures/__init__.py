"""Erasures: ask for one, see how far each is, and take and verify certificates."""

"""Checks of an installation and of its servers: what is wrong, and what to do."""

"""Silence: a person's own habit of speaking, and whether the system could have heard them. Pure."""

"""Memos uploaded over HTTP: received, stored, submitted, and followed until they have a score."""

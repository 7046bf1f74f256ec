"""Unit tests of this room."""

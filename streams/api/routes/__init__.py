"""The routes of /api/v1: each checks who asks, reads, records the look, and answers."""

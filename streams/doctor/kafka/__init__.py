"""Checks of Kafka: reaching it, its topics, permissions, and who writes to it."""

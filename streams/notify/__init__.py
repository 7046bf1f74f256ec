"""Alerts to receivers outside Kafka."""

"""Delivery of alerts to receivers outside Kafka."""

"""Kafka: clients and their security, acknowledged delivery, dead letters, retries, consumer lag."""

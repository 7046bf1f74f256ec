"""Kafka: clients and their security, delivery with acknowledgement, dead letters, retries, lag."""

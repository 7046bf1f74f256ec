"""Observability of every process: health, metrics, logs, traces."""

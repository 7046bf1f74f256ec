"""Which loggers are our own, and which belong to libraries. Loads nothing."""

import logging

OURS = frozenset({"schemas", "workers", "streams"})
"""The packages whose modules log under their own names."""
CLIENTS = frozenset({"aiokafka", "faust", "kafka", "mode", "redis"})
"""Libraries that report as an error what they retry themselves, and what the caller reports as well."""


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a module of ours made the record."""
    return record.name.partition(".")[0] in OURS


def demote(record: logging.LogRecord) -> None:
    """An error of a client library becomes a warning: whether it is an error, whoever called the client says."""
    if record.levelno == logging.ERROR and record.name.partition(".")[0] in CLIENTS:
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)

"""Lines of our own are told from those of libraries."""

import logging

import pytest

from workers.service.loggers import CLIENTS, demote, is_ours


def record(name: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, "message", (), None)


@pytest.mark.parametrize("name", ["schemas.settings", "workers.kafka.connect", "streams.roles.agents"])
def test_our_modules_are_ours(name: str) -> None:
    assert is_ours(record(name))


@pytest.mark.parametrize("name", ["aiokafka.client", "root", "workersmith", "tensorflow", "py.warnings"])
def test_nothing_else_is(name: str) -> None:
    assert not is_ours(record(name))


def test_an_error_of_a_client_library_becomes_a_warning_and_no_other_level_changes() -> None:
    for name in CLIENTS:
        error, debug, critical = (record(f"{name}.x", level) for level in (40, 10, 50))
        for each in (error, debug, critical):
            demote(each)
        assert (error.levelno, error.levelname, debug.levelno, critical.levelno) == (30, "WARNING", 10, 50)
    ours = record("workers.x")
    demote(ours)
    assert ours.levelname == "ERROR"

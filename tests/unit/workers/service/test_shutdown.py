"""A process is gone at its deadline, whatever hangs, and is unhealthy from the fatal error on."""

import asyncio
import threading

import pytest

from schemas.errors import ConfigurationError
from workers.service.health import Health
from workers.service.shutdown import Shutdown


class Process:
    def __init__(self) -> None:
        self.health = Health()
        self.codes: list[int] = []
        self.gone = threading.Event()
        self.shutdown = Shutdown(self.health, self.leave)

    def leave(self, code: int) -> None:
        self.codes.append(code)
        self.gone.set()


@pytest.mark.parametrize(
    ("error", "code"), [(None, 1), (ValueError("a secret"), 1), (ConfigurationError("no such bundle"), 78)]
)
def test_a_process_that_hangs_is_ended_with_the_code_of_its_error(
    error: Exception | None, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process()
    process.shutdown.arm(0.01)
    process.shutdown.begin(error)
    assert process.gone.wait(30)
    assert process.codes == [code]
    assert "a secret" not in caplog.text


def test_the_first_cause_sets_the_deadline() -> None:
    process = Process()
    process.shutdown.arm(0.01)
    process.shutdown.begin(ConfigurationError("no such bundle"))
    process.shutdown.begin(ValueError())
    assert process.gone.wait(30)
    assert process.codes == [78]


def test_after_a_fatal_error_a_process_is_neither_alive_nor_ready() -> None:
    process = Process()
    process.shutdown.arm(60.0)
    with pytest.raises(ValueError, match="a secret"), process.shutdown.on_failure():
        raise ValueError("a secret")
    assert process.health.faults() == ["exiting after a fatal error: ValueError"]
    assert process.health.lacking() == {"work": "exiting after a fatal error: ValueError"}


def test_on_request_a_process_stays_alive_while_it_finishes() -> None:
    process = Process()
    process.shutdown.arm(60.0)
    process.shutdown.begin()
    assert process.health.faults() == []


def test_a_cancellation_is_no_failure() -> None:
    process = Process()
    process.shutdown.arm(60.0)
    with pytest.raises(asyncio.CancelledError), process.shutdown.on_failure():
        raise asyncio.CancelledError
    assert process.health.faults() == []


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ends that were noted."""
    found: list[str] = []
    monkeypatch.setattr("workers.service.shutdown.note_end", lambda: found.append("noted"))
    return found


def test_an_end_is_on_purpose_unless_a_part_is_stuck(notes: list[str]) -> None:
    process = Process()
    process.shutdown.note()
    assert notes == [], "not armed"
    process.shutdown.arm(60.0)
    process.shutdown.begin(ValueError())
    process.shutdown.note()
    assert notes == ["noted"]
    process.health.part("acoustic").begin("a batch", within_s=-1.0)
    process.shutdown.note()
    assert notes == ["noted"]


def test_without_a_deadline_nothing_happens() -> None:
    process = Process()
    process.shutdown.begin(ValueError())
    assert process.health.faults() == []

"""Servers that are slow to reach: which one, and that none waits for another."""

import socket
import threading
from typing import Any

import pytest

from schemas.settings import Settings
from streams.doctor.environment import receivers, unreached
from streams.doctor.examination import Patient
from streams.doctor.finding import Status


async def test_a_name_server_that_does_not_answer_is_not_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr("streams.doctor.environment.ANSWER_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait())
    found = await unreached("kafka.example", 9092, "KAFKA_BOOTSTRAP")
    answered.set()
    assert found is not None
    assert found.text == "no name server answers for kafka.example"


async def test_receivers_are_tried_at_once_and_each_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=20)

    def refused(*_: Any) -> None:
        together.wait()
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refused)
    settings = Settings.load(alertmanager_url="http://one:1,http://two:1", webhook_url="http://three:1/hunter2")
    found = await receivers(Patient(settings))
    assert found.status is Status.FAILED
    assert "UNDERTONE_ALERTMANAGER_URL does not accept connections (Connection refused)" in found.text
    assert "UNDERTONE_WEBHOOK_URL does not accept connections (Connection refused)" in found.text

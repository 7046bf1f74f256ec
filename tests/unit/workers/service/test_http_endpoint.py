import asyncio
import json
import socket
import threading
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from schemas.errors import ConfigurationError
from workers.service.health import Health, turn
from workers.service.http_endpoint import serve


def ask(port: int, page: str) -> tuple[int, Any]:
    """Status and answer, also of pages that complain."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{page}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_what_is_missing_and_what_is_stuck_is_said_with_its_reason() -> None:
    now = [0.0]
    health = Health(lambda: now[0])
    with serve(0, "127.0.0.1", health) as port:
        assert ask(port, "/healthz") == ask(port, "/readyz") == (200, {"status": "ok"})
        health.lacks("model", "is being loaded")
        health.part("acoustic").begin("a batch")
        now[0] = 21.0
        reason = "acoustic: no progress for 21 s (a batch)"
        assert ask(port, "/readyz") == (503, {"status": "failing", "missing": {"model": "is being loaded"}})
        assert ask(port, "/healthz") == (503, {"status": "failing", "stuck": [reason]})


def test_a_blocked_event_loop_is_reported_by_another_thread() -> None:
    health = Health()
    health.stuck_after_s = 1.2
    unblock, blocked = threading.Event(), threading.Event()

    async def block() -> None:
        turning = asyncio.create_task(turn(health))
        await asyncio.sleep(0)
        blocked.set()
        unblock.wait()
        turning.cancel()

    with serve(0, "127.0.0.1", health) as port:
        loop = threading.Thread(target=asyncio.run, args=(block(),))
        loop.start()
        blocked.wait()
        assert ask(port, "/healthz")[0] == 200
        deadline = time.monotonic() + 10
        while ask(port, "/healthz")[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ask(port, "/healthz")[1]["stuck"][0].startswith("event loop: no progress")
        unblock.set()
        loop.join()


def test_other_pages_are_not_found() -> None:
    with serve(0, "127.0.0.1", Health()) as port, pytest.raises(HTTPError, match="404") as refused:
        urlopen(f"http://127.0.0.1:{port}/", timeout=10)
    refused.value.close()


def test_the_port_is_given_back() -> None:
    with serve(0, "127.0.0.1") as port:
        pass
    with serve(port, "127.0.0.1") as again:
        assert again == port


def test_both_families_of_addresses_and_names_of_this_machine_are_served() -> None:
    for host, asked in (("localhost", "127.0.0.1"), ("localhost", "localhost"), ("::1", "[::1]")):
        with serve(0, host, Health()) as port, urlopen(f"http://{asked}:{port}/healthz", timeout=10) as answer:
            assert json.load(answer) == {"status": "ok"}


def test_a_name_of_several_machines_is_served_at_the_addresses_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def resolved(host: str, *others: Any, **options: Any) -> list[Any]:
        if host != "replicas":
            return list(resolve(host, *others, **options))
        return [(socket.AF_INET, 1, 6, "", (each, 0)) for each in ("198.51.100.7", "127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with serve(0, "replicas", Health()) as port:
        for host in ("127.0.0.1", "127.0.0.2"):
            with urlopen(f"http://{host}:{port}/healthz", timeout=10) as answer:
                assert answer.status == 200


@pytest.mark.parametrize("host", ["198.51.100.7", "no-such-host.invalid"])
def test_an_address_that_is_not_of_this_machine_is_a_wrong_setting(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"UNDERTONE_METRICS_HOST={host}"), serve(0, host):
        pytest.fail("served at another machine's address")


def test_a_taken_port_is_a_wrong_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=r"UNDERTONE_METRICS_PORT: port .* cannot be bound"),
            serve(port, "127.0.0.1"),
        ):
            pytest.fail("served on a taken port")

"""Settings, folders, ports and addresses on this machine."""

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from schemas.environment import PREFIX, variable
from schemas.errors import ConfigurationError
from schemas.settings import Settings, ignored_variables
from streams.doctor.examination import Patient, in_thread
from streams.doctor.finding import Finding, failed, ok, skipped, together, warning

FREE_BYTES = 1 << 30
"""Less free space on the disk of UNDERTONE_HOME is warned about: an embedded store and copies of audio grow."""
FULL_BYTES = 64 << 20
ANSWER_S = 4.0
PROCESSES = 6
"""Ports that `undertone up` takes from UNDERTONE_METRICS_PORT on, at most: workers, agents, bridges."""


async def settings(patient: Patient) -> Finding:
    """Whether every value can be used."""
    if patient.faults:
        return failed("; ".join(patient.faults), "correct these variables; docs/settings.md has their values")
    return ok(f"{len(patient.settings.model_fields_set)} of {len(Settings.model_fields)} set, all of them usable")


async def variables(_: Patient) -> Finding:
    """Whether every variable with our prefix is one that is read."""
    ignored = ignored_variables()
    if not ignored:
        return ok("every variable that begins with UNDERTONE_ is a setting")
    return together(
        warning(sentence, "correct or remove it; docs/settings.md has the settings") for sentence in ignored
    )


def home(given: Settings) -> Finding:
    """UNDERTONE_HOME can be written, and its disk has room. Creates nothing."""
    place = next(path for path in (given.home, *given.home.parents) if path.exists() or path == path.parent)
    if not place.is_dir():
        return failed("UNDERTONE_HOME is, or lies below, a file that is no folder", "name a folder in UNDERTONE_HOME")
    if not os.access(place, os.W_OK | os.X_OK) or _is_read_only(place):
        return failed(
            "UNDERTONE_HOME cannot be written by this user",
            "name a folder of this user in UNDERTONE_HOME, or give it to this user with chown",
        )
    free = shutil.disk_usage(place).free
    text = f"can be written, {free / 1e9:.1f} GB free"
    if free < FULL_BYTES:
        return failed(f"its disk is full ({free / 1e6:.0f} MB free)", "free some space, or move UNDERTONE_HOME")
    return warning(text, "free some space, or move UNDERTONE_HOME") if free < FREE_BYTES else ok(text)


def _is_read_only(place: Path) -> bool:
    """Whether the file system takes no writes: for root, permissions do not say."""
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def sealing(given: Settings) -> Finding:
    """Whether data at rest is sealed, and that its keys open. Makes none."""
    if given.seal == "off":
        return skipped("UNDERTONE_SEAL is off: data at rest is in clear", "set it to on; docs/privacy.md has the steps")
    in_clear = f"; in clear: {', '.join(given.seal_clear_topics)}" if given.seal_clear_topics else ""
    if given.key_service_url is not None:
        from workers.privacy.sources.service_source import ServiceSource

        with closing(ServiceSource.open(given)) as source:
            purposes = ", ".join(source.purposes)
        return ok(f"data at rest is sealed; the key server gives keys of {purposes}{in_clear}")
    from workers.privacy.key_directory import KeyDirectory  # loads SQLAlchemy

    if not KeyDirectory.is_made(given):
        return ok("UNDERTONE_SEAL is on; whatever writes first makes the keys in UNDERTONE_HOME")
    with closing(KeyDirectory.open(given)) as directory:
        service = directory.key_service
    where = "UNDERTONE_HOME" if given.key_directory_url is None else "PostgreSQL"
    return ok(f"data at rest is sealed; the keys are in {where}, wrapped by {service}, and open{in_clear}")


def metrics_port(given: Settings) -> Finding:
    """Whether UNDERTONE_METRICS_PORT and those after it are free, or Undertone's own."""
    first = given.metrics_port
    if not first:
        return skipped("UNDERTONE_METRICS_PORT is 0: no role serves metrics or health", "set it, such as to 9464")
    taken = [port for port in range(first, min(first + PROCESSES, 65536)) if not _is_free(port)]
    foreign = [port for port in taken if not _is_ours(port)]
    if first in foreign:
        return failed(
            f"port {first} (UNDERTONE_METRICS_PORT) is taken by another program",
            "stop it, or set UNDERTONE_METRICS_PORT to a free port",
        )
    if foreign:
        return warning(
            f"ports {', '.join(map(str, foreign))} after UNDERTONE_METRICS_PORT are taken by other programs",
            "`undertone up` gives them to its roles: choose a port with free ones after it",
        )
    return ok(f"port {first} {'serves an Undertone role' if first in taken else 'is free'}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", port))
        return True
    return False


def _is_ours(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return "undertone_" in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=2.0).text
    return False


async def receivers(patient: Patient) -> Finding:
    """Whether what alerts and spans are sent to accepts connections. Nothing is posted."""
    given = patient.settings
    addresses = [
        (variable(name), url.strip())
        for name in ("alertmanager_url", "webhook_url", "slack_url", "fhir_url", "otel_exporter_otlp_endpoint")
        for url in (getattr(given, name) or "").split(",")
        if url.strip()
    ]
    if not addresses:
        return skipped("no receiver of alerts or spans is set (UNDERTONE_ALERTMANAGER_URL and others)")
    return together(await asyncio.gather(*(_accepts(name, url) for name, url in addresses)))


async def _accepts(name: str, url: str) -> Finding:
    """Only the variable is named: an address may be a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        host = port = None
    if not host or not port:
        return failed(f"{name} is not http(s)://host[:port]", f"correct {name}")
    try:
        async with asyncio.timeout(2 * ANSWER_S):
            await in_thread(lambda: socket.create_connection((host, port), ANSWER_S).close())
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return failed(f"{name} does not accept connections ({why})", f"start the receiver, or correct {name}")
    return ok(f"{name} accepts connections")


async def unreached(host: str, port: int, setting: str) -> Finding | None:
    """What keeps the server that a setting names from being reached; None when it accepts a connection."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except TimeoutError:
        return failed(f"no name server answers for {host}", "look at the name server of this machine")
    except (OSError, UnicodeError):
        return failed(f"the host name {host} is unknown (DNS)", f"correct {setting}, or the name server")
    where = f"{host}:{port}"
    try:
        await in_thread(lambda: socket.create_connection((host, port), ANSWER_S).close())
    except TimeoutError:
        return failed(f"{where} does not accept connections (no answer)", "look at firewalls between here and there")
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        return failed(f"{where} does not accept connections ({why})", f"start the server, or correct {setting}")
    return None


def usable_settings() -> tuple[Settings, list[str]]:
    """The settings, and what is wrong with those that were left out so that the others can be examined."""
    try:
        return Settings.load(), []
    except ConfigurationError as error:
        # A sentence about one variable begins with its name, and may hold a semicolon itself.
        faults = re.split(r"; (?=[A-Z][A-Z_0-9]+: )", str(error).removeprefix("settings cannot be used: "))
    wrong = {name for name in Settings.model_fields if any(fault.startswith(f"{variable(name)}:") for fault in faults)}
    # What does not go together names no single variable: without any of them nothing of Kafka and Redis is examined.
    joint = {name for name in Settings.model_fields if name.startswith(("kafka_", "redis_"))}
    for left_out in (wrong, wrong | joint, {*Settings.model_fields, "secrets_dir"}):
        with suppress(ConfigurationError), _without(left_out):
            return Settings.load(), faults
    raise AssertionError("settings without any value of the environment are valid")


@contextmanager
def _without(names: Collection[str]) -> Iterator[None]:
    """Hide these settings' variables."""
    hidden = {name.upper() for name in names} | {f"{PREFIX}{name}".upper() for name in names}
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.upper() in hidden}
    try:
        yield
    finally:
        os.environ.update(kept)

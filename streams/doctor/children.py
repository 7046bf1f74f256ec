"""Checks that load native libraries or models, each in a process of its own: `python -m streams.doctor.children NAME`.

A library that crashes, or takes for ever to load, ends its own process, and the doctor stays light.
"""

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from schemas.connection_settings import Connections, KafkaSecurity, RedisSecurity
from schemas.environment import variable
from schemas.errors import Stop, UndertoneError
from schemas.setting_types import Role
from schemas.settings import Settings
from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, Status, failed

CHECKS: Mapping[str, str] = {
    "openSMILE": "streams.doctor.extraction:opensmile",
    "decoding": "streams.doctor.extraction:decoding",
    "bundle": "streams.doctor.model:bundle",
    "encoder": "streams.doctor.model:encoder",
}
"""What a child runs: a function of the settings that returns a Finding."""
_CONNECTING = {
    *(variable(name) for kind in (Connections, KafkaSecurity, RedisSecurity) for name in kind.model_fields),
    "OTEL_EXPORTER_OTLP_ENDPOINT",
}


def in_child(name: str) -> Any:
    """The check of this name in CHECKS, run in a child process with the patient's settings."""

    async def look(patient: Patient) -> Finding:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "streams.doctor.children", name,
            env={**_environment(patient.settings), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return _told(output, process.returncode or 0)

    return look


def _environment(settings: Settings) -> dict[str, str]:
    """What a child computes with: it connects to nothing, so it gets no address and no password."""
    given = settings.child_environment(Role.WORKER | Role.COMMAND_LINE)
    return {name: text for name, text in given.items() if name not in _CONNECTING}


def _told(output: bytes, code: int) -> Finding:
    try:
        last = json.loads(output.decode().splitlines()[-1])
        return Finding(Status(last["status"]), last["text"], last["fix"])
    except (ValueError, LookupError, TypeError):
        ending = f"signal {-code}" if code < 0 else f"exit status {code}"
        return failed(f"its process ended with {ending}", "install Undertone again for this machine: `make setup`")


def main(name: str) -> None:
    """Print one finding as a JSON line. Libraries may print before it."""
    module, _, function = CHECKS[name].partition(":")
    try:
        found = getattr(importlib.import_module(module), function)(Settings.load())
    except Stop as stop:
        found = failed(str(stop), "")
    except (UndertoneError, ImportError) as error:
        found = failed(f"{type(error).__name__}: {error}", "install Undertone again for this machine: `make setup`")
    print(json.dumps({"status": found.status, "text": found.text, "fix": found.fix}), flush=True)  # noqa: T201
    # Native libraries may crash while an interpreter ends in good order.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])

"""What tests of `undertone doctor` share: an examination with settings, or the command, and what it found."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from schemas.settings import Settings
from streams.doctor.examination import Check, Patient, Result, examine
from streams.doctor.finding import Status
from streams.doctor.table import CHECKS
from tests.json_output import validated

HEAVY = {"decoding", "openSMILE", "bundle", "encoder"}
"""Checks in child processes, which cost seconds of CPU: asked for by name."""
SECRETS = ("hunter2", "secret-of-")


def looked(*heavy: str, role: str | None = None, **given: Any) -> dict[str, Result]:
    """What the doctor finds with these settings, by check. heavy: checks in child processes to run as well."""
    checks = [check for check in CHECKS if check.name not in HEAVY or check.name in heavy]
    return examined(checks, Patient(Settings.load(**given), role=role))


def examined(checks: list[Check], patient: Patient) -> dict[str, Result]:
    async def run() -> dict[str, Result]:
        return {result.check: result async for result in examine(checks, patient)}

    found = asyncio.run(run())
    assert not [secret for secret in SECRETS if secret in str(found)]
    return found


def only(check: str, found: Mapping[str, Result]) -> Result:
    """The result of the one check that failed."""
    assert [name for name, each in found.items() if each.status is Status.FAILED] == [check], found
    return found[check]


def command(*arguments: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, results by check, and standard error of the command without its heavy checks."""
    skips = [part for name in sorted(HEAVY) for part in ("--skip", name)]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("UNDERTONE_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "doctor", "--json", *skips, *arguments],
        env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, {row["check"]: row for row in validated("doctor", done.stdout)}, done.stderr

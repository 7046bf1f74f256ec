"""Checks run side by side, in time, and none hides another."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.doctor.examination import Check, Patient, examine, in_thread
from streams.doctor.finding import Finding, Status, failed, ok, together, warning


def gives(finding: Finding) -> Callable[[Patient], Awaitable[Finding]]:
    async def look(_: Patient) -> Finding:
        return finding

    return look


def raises(error: Exception) -> Callable[[Patient], Awaitable[Finding]]:
    async def look(_: Patient) -> Finding:
        raise error

    return look


async def never(_: Patient) -> Finding:
    await asyncio.Event().wait()
    raise AssertionError


async def results(*checks: Check) -> dict[str, tuple[Status, str]]:
    patient = Patient(Settings.load())
    return {each.check: (each.status, each.text) async for each in examine(checks, patient)}


async def test_results_come_in_the_order_of_the_table_and_a_failure_hides_only_what_needs_it() -> None:
    found = await results(
        Check("slow", never, limit_s=0.05),
        Check("needs slow", gives(ok("fine")), needs=("slow",)),
        Check("after slow", gives(ok("fine")), after=("slow", "left out")),
        Check("needs what is left out", never, needs=("left out",)),
        Check("needs a warning", gives(ok("fine")), needs=("warned",)),
        Check("warned", gives(warning("soon", "later"))),
    )
    assert list(found) == ["slow", "needs slow", "after slow", "needs what is left out", "needs a warning", "warned"]
    assert found["slow"] == (Status.FAILED, "no answer within 0.05 s")
    assert found["needs slow"] == (Status.SKIPPED, "not looked at: slow comes first")
    assert found["needs what is left out"] == (Status.SKIPPED, "not looked at: left out comes first")
    assert found["after slow"] == found["needs a warning"] == (Status.OK, "fine")


async def test_what_a_check_raises_is_a_finding_and_its_text_is_told_only_where_it_is_ours() -> None:
    found = await results(
        Check("ours", raises(ConfigurationError("set it"))), Check("foreign", raises(ValueError("password=hunter2")))
    )
    assert found["ours"] == (Status.FAILED, "set it")
    assert found["foreign"] == (Status.SKIPPED, "the check itself failed with ValueError")


async def test_a_call_that_hangs_keeps_nobody_waiting() -> None:
    hanging = threading.Event()

    async def look(_: Patient) -> Finding:
        await in_thread(hanging.wait)
        return ok("late")

    found = await results(Check("disk", look, limit_s=0.05), Check("next", gives(ok("fine"))))
    hanging.set()
    assert found["disk"][0] is Status.FAILED
    assert found["next"] == (Status.OK, "fine")


async def test_what_checks_opened_is_closed() -> None:
    closed: list[str] = []

    async def look(patient: Patient) -> Finding:
        patient.exits.callback(closed.append, "connection")
        return ok("open")

    await results(Check("open", look))
    assert closed == ["connection"]


def test_several_findings_become_the_worst() -> None:
    found = together([ok("a"), warning("b", "do b"), failed("c", "do c"), failed("d", "do c")])
    assert found == Finding(Status.FAILED, "c; d", "do c")


@pytest.mark.parametrize("status", Status)
def test_one_finding_is_itself(status: Status) -> None:
    assert together([Finding(status, "text", "fix")]) == Finding(status, "text", "fix")

"""Runs a table of checks: side by side, each within its own time, none hidden by another that fails."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schemas.errors import Stop, Transient
from schemas.settings import Settings
from streams.doctor.finding import Finding, Status, failed, skipped

T = TypeVar("T")

HIDING = frozenset({Status.FAILED, Status.SKIPPED})
"""A check that needs one that ended so has nothing to look at."""


@dataclass(slots=True, eq=False)
class Patient:
    """What is examined. settings: those that can be used; faults: what is wrong with the others, one sentence each.

    embedded: whether the addresses are those of an embedded system that runs; role: whose permissions are asked for,
    None for those of any role. Checks share what they have learned in `known`, and what is to be closed in `exits`.
    """

    settings: Settings
    faults: Sequence[str] = ()
    embedded: bool = False
    role: str | None = None
    known: dict[str, Any] = field(default_factory=dict)
    exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    def fault_of(self, name: str) -> str:
        """What is wrong with a variable that was left out of the settings; empty if nothing."""
        return next((fault for fault in self.faults if fault.startswith(f"{name}:")), "")


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table.

    needs: checks that must have been made and not have failed; after: checks that must have ended, if they are made;
    limit_s: seconds after which this one has failed.
    """

    name: str
    look: Callable[[Patient], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    limit_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found, and how long it took."""

    check: str
    status: Status
    text: str
    fix: str
    seconds: float


async def examine(checks: Sequence[Check], patient: Patient) -> AsyncIterator[Result]:
    """The results in the order of the table, each as soon as it and those before it are known."""
    tasks: dict[str, asyncio.Task[Result]] = {}
    async with patient.exits:
        for check in checks:
            tasks[check.name] = asyncio.create_task(_result(check, tasks, patient))
        try:
            for check in checks:
                yield await tasks[check.name]
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _result(check: Check, tasks: Mapping[str, asyncio.Task[Result]], patient: Patient) -> Result:
    for need in check.needs:
        if need not in tasks or (await tasks[need]).status in HIDING:
            return Result(check.name, Status.SKIPPED, f"not looked at: {need} comes first", "", 0.0)
    for earlier in check.after:
        if earlier in tasks:
            await tasks[earlier]
    began = time.monotonic()
    found = await _found(check, patient)
    return Result(check.name, found.status, found.text, found.fix, round(time.monotonic() - began, 3))


async def _found(check: Check, patient: Patient) -> Finding:
    """What a check found; whatever it raises is a finding as well."""
    try:
        async with asyncio.timeout(check.limit_s):
            return await check.look(patient)
    except TimeoutError:
        return failed(f"no answer within {check.limit_s:g} s", "look whether what it asks is overloaded or frozen")
    except (Stop, Transient) as error:
        return failed(str(error), "")
    except Exception as error:
        # Its text may hold an address or a path with a secret.
        return skipped(f"the check itself failed with {type(error).__name__}", "report it with your version")


async def in_thread(work: Callable[[], T]) -> T:
    """The result of a call that blocks, in a thread that keeps no process from ending: a disk or a name may hang."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_it(value)

    def run() -> None:
        try:
            outcome, value = future.set_result, work()
        except BaseException as error:
            outcome, value = future.set_exception, error  # type: ignore[assignment]
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(settle, outcome, value)

    threading.Thread(target=run, daemon=True, name="doctor").start()
    return await future


def simple(look: Callable[[Settings], Finding]) -> Callable[[Patient], Coroutine[Any, Any, Finding]]:
    """A check that blocks and needs settings alone, as one that does not block."""

    async def check(patient: Patient) -> Finding:
        return await in_thread(lambda: look(patient.settings))

    return check

"""Ctrl-C ends a process wherever it is; each case is a real process that meets a real SIGINT."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import ExitCode

ROOT = Path(__file__).parent.parent.parent.parent.parent
PATIENCE_S = 30.0
START = "from streams.terminal.interrupts import end_on_interrupt; end_on_interrupt()\n"
READY = "print('ready', flush=True)\n"
IN_A_LIBRARY = """
import ctypes
mutex = ctypes.create_string_buffer(64)  # zeros: a mutex of pthreads, which waits through signals
lock = ctypes.CDLL(None).pthread_mutex_lock
lock(mutex)
print("ready", flush=True)
lock(mutex)
"""
SWALLOWED = """
import asyncio
async def stubborn():
    print("ready", flush=True)
    while True:
        try:
            await asyncio.sleep(60)
        except BaseException:
            pass
asyncio.run(stubborn())
"""
BESIDE_A_POOL = """
from workers.acoustic.process_pool import OpenSmileChild
from workers.processes.pool import ChildPool
with ChildPool(OpenSmileChild, 1).borrowed():
    print("ready", flush=True)
    input()
"""
TAKEN_OVER = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: None)
print("ready", flush=True)
print(input())
sys.exit(3)
"""


def started(code: str, **options: object) -> "subprocess.Popen[str]":
    """A process that runs the code, once it has printed that it is ready."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes, **options)  # type: ignore[call-overload]
    assert process.stdout.readline() == "ready\n"
    return process  # type: ignore[no-any-return]


@pytest.mark.parametrize("code", [IN_A_LIBRARY, SWALLOWED, BESIDE_A_POOL], ids=["library", "swallowed", "pool"])
def test_an_interrupt_ends_the_process_without_a_word(code: str) -> None:
    with started(START + code) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == ExitCode.INTERRUPTED
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_whoever_handles_interrupts_from_then_on_meets_them() -> None:
    with started(START + TAKEN_OVER) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate("going on\n", PATIENCE_S)
        assert (out, process.returncode) == ("going on\n", 3)


def test_an_interrupt_that_the_parent_ignores_stays_ignored() -> None:
    def ignoring() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with started(START + READY + "print(input())", preexec_fn=ignoring) as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate("going on\n", PATIENCE_S)
        assert (out, process.returncode) == ("going on\n", 0)

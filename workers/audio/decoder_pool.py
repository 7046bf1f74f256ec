"""Decode in child processes that can be given up: one that dies, or takes too long, costs its own memo only.

A child decodes one memo at a time and is kept for the next. Children start when they are needed, 0.25 s each, and end
with this process, however it ends.
"""

import atexit
import json
import os
import signal as signals
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import Pipe
from subprocess import DEVNULL, PIPE, Popen

import numpy as np

from schemas.errors import Poison, Transient
from workers.audio.decode import Decoded
from workers.audio.decoder_process import CHUNK_BYTES, MEMORY_BYTES, Request, outcome_of, receive, send
from workers.audio.memo import SAMPLING_RATE, Reserve, no_reservation

CHILDREN = 4
"""Most children of one process, which is as many memos as a worker loads at once."""
CPU_S = 60.0
"""Most CPU seconds for one memo; a short one may take less."""
WALL_S = 100.0
"""Seconds that a child may work on a memo, not counting the wait for room; CPU time is limited more tightly."""
ATTEMPTS = 2
"""A memo that ends so many children is the cause; a single death may have another one."""
INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL")
"""Environment variables that a child gets: no secrets."""


class _Died(Exception):
    """The child ended. code: its exit status, negative for a signal; late: whether it was ended for taking too long."""

    def __init__(self, code: int, *, late: bool) -> None:
        super().__init__(code)
        self.code, self.late = code, late


class _Child:
    """One child process. Raises Transient if it cannot be started."""

    def __init__(self, wall_s: float) -> None:
        self._connection, theirs = Pipe()
        self._wall_s = wall_s
        self._late = threading.Event()
        try:
            self._process = Popen(  # noqa: S603  # our own interpreter and module
                [sys.executable, "-P", "-m", "workers.audio.decoder_process", str(theirs.fileno())],
                stdin=PIPE,
                stdout=DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,  # an interrupt at the terminal is for the parent
            )
        except OSError as error:
            self._connection.close()
            raise Transient(f"a decoder process cannot be started: {type(error).__name__}") from error
        finally:
            theirs.close()
        try:
            with self._deadline():
                self._connection.recv_bytes(CHUNK_BYTES)
        except (EOFError, OSError):
            raise Transient(f"a decoder process ended at its start: exit status {self.end()}") from None

    @property
    def alive(self) -> bool:
        """Whether it can take a memo."""
        return self._process.poll() is None and not self._late.is_set()

    def decode(self, data: bytes, request: Request, reserve: Reserve) -> Decoded | Poison:
        """What the child answers. Raises _Died; and what `reserve` raises, with the child still at work."""
        try:
            with self._deadline():
                self._connection.send_bytes(json.dumps(asdict(request)).encode())
                send(self._connection, memoryview(data))
                header = json.loads(self._connection.recv_bytes(CHUNK_BYTES))
            while "reserve" in header:
                reserve(float(header["reserve"]))
                with self._deadline():
                    self._connection.send_bytes(b"go")
                    header = json.loads(self._connection.recv_bytes(CHUNK_BYTES))
            with self._deadline():
                signal = np.empty(_samples(header, request.max_s), np.float32)
                receive(self._connection, signal.data.cast("B"))
        except (EOFError, OSError):
            raise _Died(self.end(), late=self._late.is_set()) from None
        return outcome_of(header, signal)

    def end(self) -> int:
        """End it; its exit status. Idempotent."""
        self._connection.close()
        self._process.kill()
        code = self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return code

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """End the child when the block takes longer than `wall_s`: whatever waits for it then fails."""

        def end() -> None:
            self._late.set()
            self._process.kill()

        timer = threading.Timer(self._wall_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class DecoderPool:
    """Decodes in child processes; thread-safe. children: at most so many; cpu_s, wall_s: limits for one memo."""

    def __init__(self, children: int = CHILDREN, *, cpu_s: float = CPU_S, wall_s: float = WALL_S) -> None:
        self._cpu_s, self._wall_s = cpu_s, wall_s
        self._free = threading.BoundedSemaphore(children)
        self._lock = threading.Lock()
        self._idle: list[_Child] = []

    def decode(self, data: bytes, *, max_s: float, min_s: float, reserve: Reserve = no_reservation) -> Decoded:
        """As `decode.decode`, in a child. Raises Poison as it does, and Transient if no child can be started.

        Beyond these reasons: `audio:decoder_memory` and `audio:decoder_timeout` when decoding takes more memory or time
        than a recording may cost, `audio:decoder_crash` when it ends its process twice.
        """
        request = Request(len(data), max_s, min_s, self._cpu_s)
        outcome = self._attempt(data, request, reserve)
        for _ in range(ATTEMPTS - 1):
            if not isinstance(outcome, _Died):
                break
            outcome = self._attempt(data, request, reserve)
        if isinstance(outcome, _Died):
            raise _verdict(outcome)
        if isinstance(outcome, Poison):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the idle children; idempotent, and a later call of `decode` starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def _attempt(self, data: bytes, request: Request, reserve: Reserve) -> Decoded | Poison | _Died:
        with self._free:
            child = self._child()
            try:
                outcome = child.decode(data, request, reserve)
            except _Died as died:
                return _verdict(died) if died.code == -signals.SIGXCPU else died
            except BaseException:
                child.end()
                raise
            self._keep(child, outcome)
            return outcome

    def _child(self) -> _Child:
        """An idle child, the last used first, or a new one."""
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return _Child(self._wall_s)
            if child.alive:
                return child
            child.end()

    def _keep(self, child: _Child, outcome: Decoded | Poison) -> None:
        # After a failed allocation libraries may have left memory behind.
        if not child.alive or (isinstance(outcome, Poison) and outcome.reason == "audio:decoder_memory"):
            child.end()
            return
        with self._lock:
            self._idle.append(child)


def _samples(header: dict[str, object], max_s: float) -> int:
    """Samples that follow a header. Raises OSError for more than were asked for: no decoder of ours sends them."""
    samples = header.get("samples", 0)
    if not isinstance(samples, int) or not 0 <= samples <= (max_s + 1.0) * SAMPLING_RATE:
        raise OSError("a decoder process sent a header that it cannot have made")
    return samples


def _verdict(died: _Died) -> Poison:
    if died.late or died.code == -signals.SIGXCPU:
        return Poison("audio:decoder_timeout", "decoding takes more time than a recording of its length may cost")
    return Poison(
        "audio:decoder_crash",
        f"a decoder process ended on this recording with status {died.code}; its memory limit is {MEMORY_BYTES} bytes",
    )


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # One thread each: parallel work is that of several children.
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}


DECODERS = DecoderPool()
"""The children of this process."""
atexit.register(DECODERS.close)

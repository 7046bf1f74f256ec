"""The child process that decodes: `python -m workers.audio.decoder_process DESCRIPTOR`, started by `decoder_pool`.

It decodes one recording at a time with limits of its own on memory and CPU time, so that hostile bytes cost their own
memo and nothing else. It imports decoders only, inherits no secrets, and ends with its parent, however that ends.
"""

import json
import math
import os
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path

from schemas.errors import Poison
from schemas.events import FloatArray
from workers.audio.decode import Decoded, decode
from workers.processes.child import READY
from workers.processes.serve import attached, until_the_parent_ends

MEMORY_BYTES = 640 << 20
"""Private memory of a child. The largest file, copied once, and the longest signal, copied once, take 430 MB."""
CPU_FIXED_S = 10.0
CPU_SHARE = 0.1
"""CPU seconds for one memo: fixed, plus this share of its length. Ordinary memos take 0.003 of their length."""
CHUNK_BYTES = 1 << 20
"""Most bytes in one message on the connection."""
STDERR = 2
"""File descriptor."""


@dataclass(frozen=True, slots=True)
class Request:
    """Header of a request; `size` bytes of the recording follow it.

    max_s, min_s: as in `decode`; cpu_s: most CPU seconds for it, whatever it declares.
    """

    size: int
    max_s: float
    min_s: float
    cpu_s: float

    def cpu_allowed_s(self, length_s: float) -> float:
        """CPU seconds that a memo of this length may cost.

        >>> memo = Request(0, max_s=1800.0, min_s=0.1, cpu_s=60.0)
        >>> memo.cpu_allowed_s(60.0), memo.cpu_allowed_s(1800.0)
        (16.0, 60.0)
        """
        return min(CPU_FIXED_S + CPU_SHARE * length_s, self.cpu_s)


def send(connection: Connection, data: memoryview) -> None:
    """Send bytes in chunks; a receiver needs little more memory than what it keeps."""
    for start in range(0, len(data), CHUNK_BYTES):
        connection.send_bytes(data[start : start + CHUNK_BYTES])


def receive(connection: Connection, into: memoryview) -> None:
    """Receive bytes that `send` sent, as many as there is room for. Raises OSError if the sender sends more."""
    start = 0
    while start < len(into):
        chunk = connection.recv_bytes(CHUNK_BYTES)
        into[start : start + len(chunk)] = chunk
        start += len(chunk)


def outcome_header(outcome: Decoded | Poison) -> bytes:
    """An outcome as JSON, without the signal. Nothing is unpickled that a child sends: it has read hostile bytes."""
    if isinstance(outcome, Poison):
        return json.dumps({"reason": outcome.reason, "detail": outcome.detail}).encode()
    values = {field.name: getattr(outcome, field.name) for field in fields(outcome) if field.name != "signal"}
    return json.dumps({"samples": len(outcome.signal), "decoded": values}).encode()


def outcome_of(header: dict[str, object], signal: FloatArray) -> Decoded | Poison:
    """What `outcome_header` wrote. Raises TypeError, KeyError for anything else."""
    if "reason" in header:
        return Poison(str(header["reason"]), str(header["detail"]))
    values = header["decoded"]
    assert isinstance(values, dict)
    return Decoded(signal=signal, **values)


class _Server:
    """Answers requests on one connection, one after another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self) -> None:
        """Answer until the parent closes the connection."""
        with until_the_parent_ends():
            self._connection.send_bytes(READY)
            while True:
                self._answer(Request(**json.loads(self._connection.recv_bytes())))

    def _answer(self, request: Request) -> None:
        data = bytearray(request.size)
        receive(self._connection, memoryview(data))
        used_s = _cpu_used_s()
        _limit_cpu(used_s + request.cpu_allowed_s(0.0))

        def reserve(length_s: float) -> None:
            self._wait_for_room(length_s)
            _limit_cpu(used_s + request.cpu_allowed_s(length_s))

        outcome: Decoded | Poison
        try:
            outcome = decode(bytes(data), max_s=request.max_s, min_s=request.min_s, reserve=reserve)
        except Poison as poison:
            outcome = poison
        self._connection.send_bytes(outcome_header(outcome))
        if isinstance(outcome, Decoded):
            send(self._connection, outcome.signal.data.cast("B"))

    def _wait_for_room(self, length_s: float) -> None:
        """Return when the parent has room for a signal of this length."""
        self._connection.send_bytes(json.dumps({"reserve": length_s}).encode())
        try:
            self._connection.recv_bytes()
        except EOFError:
            sys.exit()


def _cpu_used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _limit_cpu(at_s: float) -> None:
    """End this process by SIGXCPU once it has used so many CPU seconds; also within native code."""
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(at_s), resource.RLIM_INFINITY))


def _limit_process() -> None:
    """Bound memory, write no file and no core dump, and let the kernel end this process before its parent."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    """Serve the connection that the argument names."""
    connection = attached()
    _limit_process()
    # Errors of starting are shown; what native decoders print about a recording is not.
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)
    _Server(connection).run()


if __name__ == "__main__":
    main()

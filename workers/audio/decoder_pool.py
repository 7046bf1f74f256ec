"""Decode in child processes that can be given up: one that dies, or takes too long, costs its own memo only.

A child decodes one memo at a time and is kept for the next. Children start when they are needed, 0.25 s each, and end
with this process, however it ends.
"""

import atexit
import json
import signal as signals
from dataclasses import asdict

import numpy as np

from schemas.errors import Poison
from workers.audio.decode import Decoded
from workers.audio.decoder_process import CHUNK_BYTES, MEMORY_BYTES, Request, outcome_of, receive, send
from workers.audio.memo import SAMPLING_RATE, Reserve, no_reservation
from workers.processes.child import Child, Ended
from workers.processes.pool import ChildPool

CHILDREN = 4
"""Most children of one process, which is as many memos as a worker loads at once."""
CPU_S = 60.0
"""Most CPU seconds for one memo; a short one may take less."""
WALL_S = 100.0
"""Seconds that a child may work on a memo, not counting the wait for room; CPU time is limited more tightly."""
ATTEMPTS = 2
"""A memo that ends so many children is the cause; a single death may have another one."""


class _Decoder(Child):
    """One child process. Raises Transient if it cannot be started."""

    def __init__(self, wall_s: float) -> None:
        super().__init__("workers.audio.decoder_process", wall_s=wall_s)

    def decode(self, data: bytes, request: Request, reserve: Reserve) -> Decoded | Poison:
        """What the child answers. Raises Ended; and what `reserve` raises, with the child still at work."""
        with self.deadline():
            self.connection.send_bytes(json.dumps(asdict(request)).encode())
            send(self.connection, memoryview(data))
            header = json.loads(self.connection.recv_bytes(CHUNK_BYTES))
        while "reserve" in header:
            reserve(float(header["reserve"]))
            with self.deadline():
                self.connection.send_bytes(b"go")
                header = json.loads(self.connection.recv_bytes(CHUNK_BYTES))
        with self.deadline():
            signal = np.empty(_samples(header, request.max_s), np.float32)
            receive(self.connection, signal.data.cast("B"))
        return outcome_of(header, signal)


class DecoderPool:
    """Decodes in child processes; thread-safe. children: at most so many; cpu_s, wall_s: limits for one memo."""

    def __init__(self, children: int = CHILDREN, *, cpu_s: float = CPU_S, wall_s: float = WALL_S) -> None:
        self._cpu_s = cpu_s
        self._children = ChildPool(lambda: _Decoder(wall_s), children)

    def decode(self, data: bytes, *, max_s: float, min_s: float, reserve: Reserve = no_reservation) -> Decoded:
        """As `decode.decode`, in a child. Raises Poison as it does, and Transient if no child can be started.

        Beyond these reasons: `audio:decoder_memory` and `audio:decoder_timeout` when decoding takes more memory or time
        than a recording may cost, `audio:decoder_crash` when it ends its process twice.
        """
        request = Request(len(data), max_s, min_s, self._cpu_s)
        outcome = self._attempt(data, request, reserve)
        for _ in range(ATTEMPTS - 1):
            if not isinstance(outcome, Ended):
                break
            outcome = self._attempt(data, request, reserve)
        if isinstance(outcome, Ended):
            raise _verdict(outcome)
        if isinstance(outcome, Poison):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the children; idempotent, and a later call of `decode` starts new ones."""
        self._children.close()

    def _attempt(self, data: bytes, request: Request, reserve: Reserve) -> Decoded | Poison | Ended:
        with self._children.borrowed() as child:
            try:
                outcome = child.decode(data, request, reserve)
            except Ended as ended:
                return _verdict(ended) if ended.code == -signals.SIGXCPU else ended
            # After a failed allocation libraries may have left memory behind.
            if isinstance(outcome, Poison) and outcome.reason == "audio:decoder_memory":
                child.end()
            return outcome


def _samples(header: dict[str, object], max_s: float) -> int:
    """Samples that follow a header. Raises OSError for more than were asked for: no decoder of ours sends them."""
    samples = header.get("samples", 0)
    if not isinstance(samples, int) or not 0 <= samples <= (max_s + 1.0) * SAMPLING_RATE:
        raise OSError("a decoder process sent a header that it cannot have made")
    return samples


def _verdict(ended: Ended) -> Poison:
    if ended.late or ended.code == -signals.SIGXCPU:
        return Poison("audio:decoder_timeout", "decoding takes more time than a recording of its length may cost")
    return Poison(
        "audio:decoder_crash",
        f"a decoder process ended on this recording with status {ended.code}; its memory limit is {MEMORY_BYTES} bytes",
    )


DECODERS = DecoderPool()
"""The children of this process."""
atexit.register(DECODERS.close)

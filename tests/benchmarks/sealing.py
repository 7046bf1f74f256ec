"""What sealing costs: `python -m tests.benchmarks.sealing`, two minutes. Writes `results/sealing.md`.

Times are the best of several repetitions, which a busy machine disturbs least; memory is what tracemalloc counts.
"""

import os
import tempfile
import timeit
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.headers import Headers, headers_for
from schemas.key_purposes import LASTING, epoch_of
from schemas.settings import Settings
from tests.benchmarks.machine import provenance
from workers.privacy.clear_records import Written
from workers.privacy.envelope import open_field, open_state, seal, seal_field, seal_state, unseal
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring
from workers.privacy.sealing import Sealing
from workers.privacy.store_keys import StoreKey

RESULT = Path(__file__).parent / "results" / "sealing.md"
RECORD, STATE = 3634, 902
"""Bytes of a record of acoustic features, and of a drift state."""
PEOPLE = 100_000
MANY = 100
"""Records that are opened together."""
TOPIC, KIND, USER = "memos.features", "MemoFeatures", "user-1"
T = TypeVar("T")


def microseconds(call: Callable[[], object], number: int = 5000, repeat: int = 25) -> float:
    """Time of one call."""
    return min(timeit.repeat(call, number=number, repeat=repeat)) / number * 1e6


def calls(ring: Keyring) -> Iterator[tuple[str, float]]:
    """Times of sealing and opening, with warm keys."""
    record, state = os.urandom(RECORD), os.urandom(STATE)
    key, nonce = AESGCM(os.urandom(32)), os.urandom(12)
    ciphertext = key.encrypt(nonce, record, b"")
    yield "AES-256-GCM alone, encrypt", microseconds(lambda: key.encrypt(nonce, record, b""))
    yield "AES-256-GCM alone, decrypt", microseconds(lambda: key.decrypt(nonce, ciphertext, b""))
    sealed = seal(ring, TOPIC, KIND, USER, record)
    yield "record, seal", microseconds(lambda: seal(ring, TOPIC, KIND, USER, record))
    yield "record, open", microseconds(lambda: unseal(ring, TOPIC, KIND, sealed))
    kept = seal_state(ring, "drift", USER, state)
    yield "state, seal", microseconds(lambda: seal_state(ring, "drift", USER, state))
    yield "state, open", microseconds(lambda: open_state(ring, "drift", USER, kept))
    subject = ring.subject(USER)
    field = seal_field(ring, "scores.evidence", USER, state)
    yield "column, seal", microseconds(lambda: seal_field(ring, "scores.evidence", USER, state))
    yield "column, open", microseconds(lambda: open_field(ring, "scores.evidence", subject, field))


@dataclass
class Fetched:
    """A record as a client gives it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int = 0


def border(settings: Settings) -> Iterator[tuple[str, float]]:
    """Times of a record at the border of Kafka, with its key and headers: they continue a trace that is concealed."""
    sealing, record = Sealing(settings), os.urandom(RECORD)
    sealing.keyring.warm_now([USER], enrol=True)

    def sealed(headers: Headers) -> Written:
        written = _now(sealing.sealed(TOPIC, USER.encode(), record, headers))
        assert written is not None, "nobody was erased"
        return written

    headers = _headers(dict(sealed(_headers(None)).headers))
    yield "record with headers, seal", microseconds(lambda: sealed(headers))
    fetched = [Fetched(TOPIC, *sealed(headers))] * MANY
    yield "record with headers, open", microseconds(lambda: _now(sealing.opened(fetched, enrol=True)), 50) / MANY
    sealing.close()


def _headers(parent: dict[str, bytes] | None) -> Headers:
    return headers_for("0" * 32, KIND, "/undertone/acoustic", datetime.now(UTC), parent)


def _now(call: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("it waits")


def rewrapping() -> float:
    """Seconds to unwrap and wrap 100,000 keys, without the database."""
    old, new = StoreKey(1, os.urandom(32)), StoreKey(2, os.urandom(32))
    subject, digest = os.urandom(16), os.urandom(64)
    wrapped = old.wrap(subject, 1, digest)

    def rewrap() -> bytes:
        return new.wrap(subject, 1, old.unwrap(subject, 1, wrapped) or b"")

    return microseconds(rewrap, 10_000, 5) * PEOPLE / 1e6


def seconds(call: Callable[[], object]) -> float:
    """Time of one call that is not repeated."""
    return timeit.timeit(call, number=1)


def many(home: Path) -> Iterator[str]:
    """100,000 people in SQLite: times, and the memory of their keys."""
    directory = KeyDirectory.open(Settings.load(home=home))
    users = [f"user-{number:06}-{os.urandom(8).hex()}" for number in range(PEOPLE)]
    yield f"* enrol {PEOPLE:,} people, two keys each: {seconds(lambda: directory.enrol(users)):.1f} s"
    month = epoch_of(datetime.now(UTC))
    frames = [(subject.id, month) for subject in directory.subjects_of(users).values()]
    ring = Keyring(directory, 3600.0)
    tracemalloc.start()
    warmed = seconds(lambda: ring.warm_now(frames=frames))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert ring.user(frames[-1][0])
    yield f"* warm {PEOPLE:,} people, {2 * PEOPLE:,} keys: {kept / 2**20:.0f} MB"
    again = Keyring(directory, 3600.0)
    yield f"* warm them, time: {seconds(lambda: again.warm_now(frames=frames)):.1f} s (with tracing {warmed:.1f} s)"
    keys = directory.keys_of([(subject, LASTING) for subject, _ in frames])
    assert len(keys) == PEOPLE
    yield f"* rotate the store key, {2 * PEOPLE:,} keys and {PEOPLE:,} names in SQLite: {_rotated(directory):.1f} s"
    yield f"* status, which opens every key: {seconds(directory.status):.1f} s"
    directory.close()


def _rotated(directory: KeyDirectory) -> float:
    def rotate() -> None:
        assert directory.rotate_store_key().rewrapped == 2 * PEOPLE

    return seconds(rotate)


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(home=Path(folder) / "one", seal="on")
        directory = KeyDirectory.open(settings)
        ring = Keyring(directory, 3600.0)
        ring.warm_now([USER], enrol=True)
        rows = [f"| {name} | {us:.1f} |" for name, us in calls(ring)]
        rows += [f"| {name} | {us:.1f} |" for name, us in border(settings)]
        ring.close()
        lines = [
            "# Sealing",
            "",
            provenance("python -m tests.benchmarks.sealing"),
            "",
            f"Warm keys; a record of {RECORD:,} bytes, a state and a column of {STATE}. The best of 25 repetitions.",
            "",
            "| operation | µs |",
            "|---|---:|",
            *rows,
            "",
            f"* re-wrap {PEOPLE:,} keys, without the database: {rewrapping():.2f} s",
            *many(Path(folder) / "many"),
        ]
    RESULT.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

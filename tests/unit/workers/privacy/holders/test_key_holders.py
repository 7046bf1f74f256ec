"""A process notes that it lives, drops the keys of who is being erased, and notes that."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from schemas.errors import Transient
from tests.keys import sealing
from workers.privacy.holders.key_holders import SEEN_WITHIN_S, KeyHolder, Standing, standing, tidy
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import ERASURES, KEY_HOLDERS

CACHE_S = 600.0
PATIENCE_S = 30.0


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[KeyDirectory]:
    opened = KeyDirectory.open(sealing(tmp_path))
    yield opened
    opened.close()


def being_erased(directory: KeyDirectory, user: str, *, refused: bool = True) -> bytes:
    """The subject of somebody whose erasure was asked for; refused: its first step is done."""
    subject = directory.enrol([user])[user].id
    row = {"subject": subject, "person": "ab" * 32, "reason": "asked", "done": "{}"}
    with directory.database.writing() as connection:
        connection.execute(insert(ERASURES), row | {"started_at": datetime.now(UTC)})
    if refused:
        directory.mark_erasing(user)
    return subject


def found(directory: KeyDirectory, subject: bytes, now: float | None = None) -> Standing:
    return standing(directory.database, subject, CACHE_S, time.time() if now is None else now)


def test_it_drops_who_is_refused_once_and_nobody_before(directory: KeyDirectory) -> None:
    dropped: list[bytes] = []
    holder = KeyHolder(directory.holders, dropped.append)
    holder.beat()
    anna = being_erased(directory, "anna", refused=False)
    holder.beat()
    assert (dropped, found(directory, anna)) == ([], Standing(1, 1)), "the directory would give the key again"
    directory.mark_erasing("anna")
    holder.beat()
    holder.beat()
    assert (dropped, found(directory, anna)) == ([anna], Standing(1, 0))
    holder.close()
    assert found(directory, anna) == Standing(0, 0)


def test_keys_are_dropped_before_that_is_noted(directory: KeyDirectory) -> None:
    anna = being_erased(directory, "anna")

    def killed(_: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KeyHolder(directory.holders, killed).beat()
    assert found(directory, anna) == Standing(1, 1)


def test_who_reads_keys_is_known_before_and_looks_by_itself(directory: KeyDirectory) -> None:
    gone = threading.Event()
    holder = KeyHolder(directory.holders, lambda _: gone.set(), beat_s=0.01)
    holder.seen()
    assert found(directory, bytes(16)) == Standing(1, 1)
    being_erased(directory, "anna")
    assert gone.wait(PATIENCE_S)
    holder.close()
    holder.close()


def test_who_died_counts_as_long_as_it_may_have_a_key(directory: KeyDirectory) -> None:
    now = time.time()
    KeyHolder(directory.holders, lambda _: None, clock=lambda: now).beat()
    last = now + CACHE_S + 2 * SEEN_WITHIN_S
    assert found(directory, bytes(16), last) == Standing(1, 1)
    assert found(directory, bytes(16), last + 1) == Standing(0, 0)
    tidy(directory.database, CACHE_S, last)
    assert found(directory, bytes(16), now) == Standing(1, 1)
    tidy(directory.database, CACHE_S, last + 1)
    assert found(directory, bytes(16), now) == Standing(0, 0)


def test_a_directory_that_does_not_answer_gives_no_keys_and_ends_no_process(
    directory: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Semaphore(0)
    holder = KeyHolder(directory.holders, lambda _: None, beat_s=0.01)
    holder.seen()

    def away() -> object:
        asked.release()
        raise Transient("the key directory does not answer")

    monkeypatch.setattr(directory.database, "writing", away)
    assert all(asked.acquire(timeout=PATIENCE_S) for _ in range(3)), "it looks again"
    with pytest.raises(Transient):
        KeyHolder(directory.holders, lambda _: None).seen()
    monkeypatch.undo()
    holder.close()
    with directory.database.writing() as connection:
        assert connection.execute(delete(KEY_HOLDERS)).rowcount == 0

"""The journal of the embedded system."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streams.local.journal import Journal, Upload


def test_threads_take_turns_at_one_journal(tmp_path: Path) -> None:
    """`submit` accepts in one thread while what was scored is struck out in another."""
    uploads = [Upload(b"user", f"memo {i}".encode(), f"m{i}") for i in range(200)]
    with Journal(tmp_path / "journal.db") as journal, ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(journal.accept, [upload]) for upload in uploads]:
            done.result()
        finishing = [threads.submit(journal.finish, [f"m{i}"]) for i in range(0, 200, 2)]
        accepting = [threads.submit(journal.accept, [upload]) for upload in uploads]
        for done in [*finishing, *accepting]:
            done.result()
        assert {upload.memo_id for upload in journal.unfinished()} == {f"m{i}" for i in range(1, 200, 2)}

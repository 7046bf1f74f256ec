"""The journal of the embedded system."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from streams.local.journal import Journal, Upload


def test_threads_take_turns_at_one_journal(tmp_path: Path) -> None:
    """`submit` accepts in one thread while what was scored is struck out in another."""
    uploads = [Upload(b"user", f"memo {i}".encode(), f"m{i}", "user") for i in range(200)]
    with Journal(tmp_path / "journal.db") as journal, ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(journal.accept, [upload]) for upload in uploads]:
            done.result()
        finishing = [threads.submit(journal.finish, [("user", f"m{i}")]) for i in range(0, 200, 2)]
        accepting = [threads.submit(journal.accept, [upload]) for upload in uploads]
        for done in [*finishing, *accepting]:
            done.result()
        assert {upload.memo_id for upload in journal.unfinished()} == {f"m{i}" for i in range(1, 200, 2)}


def test_closing_waits_for_the_transaction_of_another_thread(tmp_path: Path) -> None:
    within, go_on = Event(), Event()

    def clock() -> float:
        within.set()
        go_on.wait()
        return 0.0

    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        journal.accept([upload("a")])
    with ThreadPoolExecutor(2) as threads:
        journal = Journal(path, clock).__enter__()
        finishing = threads.submit(journal.finish, [("user", "a")])
        within.wait()
        closing_it = threads.submit(journal.__exit__, None, None, None)
        try:
            with pytest.raises(TimeoutError):
                closing_it.result(0.2)
        finally:
            go_on.set()
        finishing.result()
        closing_it.result()
    with Journal(path) as journal:
        assert journal.unfinished() == []


def upload(name: str, key: bytes | None = b"user") -> Upload:
    return Upload(key, f"value of {name}".encode(), name, "user")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "home" / "journal.db") as journal:
        yield journal


def test_what_is_unfinished_comes_back_as_it_was_in_the_order_in_which_it_was_accepted(journal: Journal) -> None:
    uploads = [upload("b"), upload("a"), Upload(None, b"no memo", None), upload("c")]
    journal.accept(uploads[:2])
    journal.accept(uploads[2:])
    assert journal.unfinished() == uploads


def test_an_upload_that_is_known_is_accepted_once_also_when_it_is_finished(journal: Journal) -> None:
    journal.accept([upload("a"), upload("a")])
    assert journal.unfinished() == [upload("a")]
    journal.finish([("user", "a")])
    journal.accept([upload("a")])
    assert journal.unfinished() == []


def test_the_same_value_under_another_key_is_another_upload(journal: Journal) -> None:
    journal.accept([upload("a"), upload("a", b"other"), upload("a", None)])
    assert len(journal.unfinished()) == 3


def test_uploads_are_finished_by_memo_or_by_themselves_and_unknown_ones_are_no_error(journal: Journal) -> None:
    garbage = Upload(b"user", b"garbage", None)
    journal.accept([upload("a"), upload("b"), garbage])
    journal.finish([("user", "a"), ("user", "unknown")], [garbage, upload("unknown")])
    assert journal.unfinished() == [upload("b")]


def test_what_was_accepted_outlives_its_process(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        journal.accept([upload("a"), upload("b")])
        journal.finish([("user", "a")])
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.unfinished() == [upload("b")]


def test_what_was_forgotten_is_accepted_anew(journal: Journal) -> None:
    journal.accept([upload("a"), upload("b")])
    journal.finish([("user", "a")])
    journal.forget_finished()
    journal.accept([upload("a")])
    assert journal.unfinished() == [upload("b"), upload("a")]


def test_an_error_leaves_the_journal_as_it_was(journal: Journal) -> None:
    journal.accept([upload("a")])
    with pytest.raises(TypeError):
        journal.finish([("user", "a")], [Upload(b"user", "no bytes", None)])  # type: ignore[arg-type]
    assert journal.unfinished() == [upload("a")]
    journal.finish([("user", "a")])
    assert journal.unfinished() == []


def test_a_memo_of_another_user_with_the_same_id_stays(journal: Journal) -> None:
    one, other = Upload(b"anna", b"one", "m", "anna"), Upload(b"bert", b"other", "m", "bert")
    journal.accept([one, other])
    journal.finish([("anna", "m")])
    assert journal.unfinished() == [other]


def test_a_journal_of_0_1_is_read_and_finished_by_memo(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as before, before:
        before.execute(
            "CREATE TABLE uploads (digest BLOB PRIMARY KEY, key BLOB, value BLOB NOT NULL, memo_id TEXT, "
            "finished INTEGER NOT NULL DEFAULT 0)"
        )
        before.executemany(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, 0)", [(b"1", b"u", b"v", "m"), (b"2", b"u", b"w", "n")]
        )
    with Journal(tmp_path / "journal.db") as journal:
        journal.finish([("u", "m")])
        assert journal.unfinished() == [Upload(b"u", b"w", "n")]


def test_audio_is_needed_until_its_upload_is_finished_and_for_as_long_after_as_is_asked(tmp_path: Path) -> None:
    now = 100.0
    with Journal(tmp_path / "journal.db", lambda: now) as journal:
        journal.accept([Upload(b"user", b"a", "a", "user", "file:///a"), Upload(b"user", b"b", "b", "user", None)])
        assert journal.needed_audio(finished_after=50.0) == {"file:///a"}
        assert journal.needed_audio(finished_after=50.0, accepted_after=101.0) == set()
        now = 200.0
        journal.finish([("user", "a"), ("user", "b")])
        now = 300.0
        journal.finish([("user", "a")], [Upload(b"user", b"a", "a", "user")])
        assert journal.needed_audio(finished_after=199.0) == {"file:///a"}, "since it was finished first"
        assert journal.needed_audio(finished_after=200.0) == set()


def test_an_upload_of_an_earlier_version_is_completed_when_it_is_read_again(journal: Journal) -> None:
    journal.accept([upload("a")])
    journal.accept([replace(upload("a"), audio_uri="file:///a")])
    assert journal.needed_audio(0.0) == {"file:///a"}
    assert journal.unfinished() == [upload("a")]


def test_a_finished_upload_leaves_a_digest_and_which_audio_stays_for_how_long(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    sent = Upload(b"a-rare-user", b"value of a-rare-user", "m1", "a-rare-user", "file:///inbox/1.wav")
    with Journal(path) as journal:
        journal.accept([sent])
        journal.finish([("a-rare-user", "m1")])
        journal.accept([sent])
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT key, value, memo_id, user_id, audio_uri, finished FROM uploads").fetchall() == [
                (None, b"", None, None, None, 1)
            ]
        assert journal.needed_audio(0.0) == {"file:///inbox/1.wav"}
        assert journal.of_users(["a-rare-user"]) == ["file:///inbox/1.wav"]


def test_users_are_forgotten_and_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        for user in ("a-rare-user", "other"):
            for memo in ("m1", "m2"):
                key, uri = user.encode(), f"file:///inbox/{user}-{memo}.wav"
                journal.accept([Upload(key, f"{memo} of {user}".encode(), memo, user, uri)])
            journal.finish([(user, "m2")])
            journal.accept([Upload(user.encode(), f"shared {user}".encode(), "m3", user, "file:///inbox/shared.wav")])
        journal.accept([Upload(b"a-rare-user", b"no memo", None)])
        mine = journal.of_users(["f" * 32, "a-rare-user"])
        assert mine == ["file:///inbox/a-rare-user-m1.wav", "file:///inbox/a-rare-user-m2.wav"]
        assert journal.forget_users(["f" * 32, "a-rare-user"]) == 4
        assert journal.forget_users(["f" * 32, "a-rare-user"]) == 0
        assert {upload.user_id for upload in journal.unfinished()} == {"other"}
        assert journal.needed_audio(0.0) == {f"file:///inbox/{name}.wav" for name in ("other-m1", "other-m2", "shared")}
        data = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"a-rare-user" not in data
        assert b"other" in data

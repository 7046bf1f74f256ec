"""Copies of audio: whole, private, and removed when their memos have had their outcome for long enough."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from streams.local.inbox import GRACE_S, Inbox, Retention
from streams.local.journal import Journal, Upload
from tests.keys import sealing
from workers.privacy.files.audio_copies import AudioCopies
from workers.privacy.sealing import close_all

RETENTION_S = 7 * 86400.0
NEVER_LOST: timedelta | None = None


def test_audio_in_the_inbox_is_whole_and_written_once(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "new" / "inbox")
    first = inbox.put(b"audio", "a.wav")
    assert inbox.put(b"changed", "a.wav") == first
    (inbox.folder / "b.wav.part").write_bytes(b"cut sh")
    inbox.put(b"whole", "b.wav")
    assert {path.name: path.read_bytes() for path in inbox.folder.iterdir()} == {"a.wav": b"audio", "b.wav": b"whole"}


def path_of(uri: str) -> Path:
    return Path(unquote(uri.removeprefix("file://")))


class World:
    """An inbox, its journal, and a clock that both follow."""

    def __init__(self, home: Path) -> None:
        self.now = 1_800_000_000.0
        self.inbox = Inbox(home / "audio")
        self.journal = Journal(home / "journal.db", lambda: self.now)

    def submit(self, memo: str, audio: bytes = b"audio") -> Path:
        """As `submit` does: the copy, then the upload in the journal."""
        uri = self.put(audio)
        self.journal.accept([self.upload(memo, uri)])
        return path_of(uri)

    def put(self, audio: bytes = b"audio") -> str:
        uri = self.inbox.put(audio, f"{audio.decode()}.wav")
        os.utime(path_of(uri), (self.now, self.now))
        return uri

    def upload(self, memo: str, uri: str) -> Upload:
        return Upload(b"user", memo.encode(), memo, "user", uri)

    def finish(self, memo: str) -> None:
        self.journal.finish([("user", memo)])

    def remove(self, retention_s: float = RETENTION_S, outcome_within: timedelta | None = NEVER_LOST) -> int:
        return Retention(self.inbox, self.journal, retention_s, outcome_within, lambda: self.now).remove()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with world.journal:
        yield world


def test_a_copy_is_removed_once_its_outcome_is_old_enough(world: World) -> None:
    copy = world.submit("memo")
    world.now += 10
    world.finish("memo")
    world.now += RETENTION_S - 1
    assert world.remove() == 0
    assert copy.exists()
    world.now += 2
    assert world.remove() == 1
    assert not copy.exists()
    assert world.remove() == 0


def test_a_copy_is_kept_as_long_as_its_memo_has_no_outcome(world: World) -> None:
    copy = world.submit("memo")
    world.now += 100 * RETENTION_S
    assert world.remove() == 0
    assert copy.exists()


def test_a_dead_letter_is_an_outcome(world: World) -> None:
    copy = world.submit("memo")
    world.journal.finish(uploads=[world.upload("memo", copy.as_uri())])
    world.now += RETENTION_S + 1
    assert world.remove() == 1


def test_a_copy_of_several_memos_waits_for_the_last(world: World) -> None:
    copy = world.submit("one")
    world.submit("two")
    world.finish("one")
    world.now += 2 * RETENTION_S
    assert world.remove() == 0
    world.finish("two")
    world.now += RETENTION_S + 1
    assert world.remove() == 1
    assert not copy.exists()


def test_the_outcome_is_known_after_a_restart_that_forgets_finished_uploads(world: World) -> None:
    copy = world.submit("memo")
    world.now += 3 * RETENTION_S
    world.finish("memo")
    world.journal.forget_finished()
    world.now += RETENTION_S - 1
    assert world.remove() == 0
    world.now += 2
    assert world.remove() == 1
    assert not copy.exists()


def test_the_same_audio_that_is_submitted_again_is_kept_before_its_upload_is_noted(world: World) -> None:
    world.submit("memo")
    world.finish("memo")
    world.now += RETENTION_S + 1
    world.put()
    assert world.remove() == 0


def test_nothing_is_kept_for_longer_than_a_minute_where_no_retention_is_wanted(world: World) -> None:
    world.submit("memo")
    world.finish("memo")
    assert world.remove(retention_s=0.0) == 0
    world.now += GRACE_S + 1
    assert world.remove(retention_s=0.0) == 1


def test_copies_that_no_journal_knows_go_by_their_age(world: World) -> None:
    world.put(b"earlier version")
    (world.inbox.folder / "cut.wav.part").write_bytes(b"cut sh")
    os.utime(world.inbox.folder / "cut.wav.part", (world.now, world.now))
    world.now += RETENTION_S - 1
    assert world.remove() == 0
    world.now += 2
    assert world.remove() == 2
    assert list(world.inbox.folder.iterdir()) == []


def test_an_outcome_that_a_durable_broker_no_longer_has_is_not_waited_for(world: World) -> None:
    world.submit("memo")
    month = timedelta(days=30)
    world.now += month.total_seconds() - 1
    assert world.remove(outcome_within=month) == 0
    world.now += 2
    assert world.remove(outcome_within=month) == 1


def test_a_name_that_is_spelled_in_another_way_is_recognised(world: World) -> None:
    copy = world.submit("memo", b"two words")
    world.finish("memo")
    world.journal.accept([world.upload("other", f"file://localhost{copy.parent}/./two%20words.wav")])
    world.now += RETENTION_S + 1
    assert world.remove() == 0


def test_links_and_folders_in_the_inbox_are_left_alone(world: World, tmp_path: Path) -> None:
    world.put()
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"audio")
    (world.inbox.folder / "link.wav").symlink_to(outside)
    (world.inbox.folder / "folder").mkdir()
    world.now += 2 * RETENTION_S
    assert world.remove() == 1
    assert outside.exists()


def test_no_inbox_is_no_error(world: World) -> None:
    assert world.remove() == 0


PUT = "import sys; from pathlib import Path; from streams.local.inbox import Inbox; "
PUT += "[Inbox(Path(sys.argv[1])).put(b'audio', 'a.wav') for _ in range(300)]"


def test_processes_that_put_and_remove_the_same_copy_disturb_none(world: World) -> None:
    path = path_of(world.put(b"a"))
    removed = 0
    with subprocess.Popen([sys.executable, "-c", PUT, str(world.inbox.folder)]) as putting:
        while putting.poll() is None:
            with suppress(FileNotFoundError):
                os.utime(path, (0, 0))
            removed += world.remove(retention_s=0.0)
    assert putting.returncode == 0
    assert removed > 0


def test_the_audio_of_a_person_is_sealed_and_named_by_nothing_of_it(tmp_path: Path) -> None:
    copies = AudioCopies(sealing(tmp_path))
    inbox = Inbox(tmp_path / "audio", copies)
    uri = inbox.put_memo("ann", b"audio of ann", "ab" * 32, ".wav")
    assert inbox.put_memo("ann", b"audio of ann", "ab" * 32, ".wav") == uri, "the same memo has one copy"
    (path,) = inbox.folder.iterdir()
    assert (path.suffix, copies.opened(path.read_bytes())) == (".wav", b"audio of ann")
    assert b"audio" not in path.read_bytes()
    assert "abab" not in path.name
    assert Inbox(tmp_path / "clear").put_memo("ann", b"audio", "ab" * 32, ".wav").endswith(f"{'ab' * 32}.wav")
    close_all()

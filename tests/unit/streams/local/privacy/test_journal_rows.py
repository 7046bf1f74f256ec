"""The journal sealed: its files name no one, and what it holds is what was put into it."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas import topics
from schemas.codec import Codec
from schemas.sealed_frame import is_sealed
from streams.local.journal import Journal, Upload
from tests.keys import erase, sealing
from tests.unit.schemas.records import UPLOADED
from workers.privacy.sealing import Sealing

VALUE = Codec().encode(UPLOADED)
COPY = "0" * 64 + ".wav"


def upload(user: str = "annabell", value: bytes = VALUE, uri: str = f"file:///ann/{COPY}") -> Upload:
    return Upload(user.encode(), value, UPLOADED.memo_id, user, uri)


@pytest.fixture
def border(tmp_path: Path) -> Iterator[Sealing]:
    with closing(Sealing(sealing(tmp_path / "keys"))) as opened:
        yield opened


def files(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())


def test_the_files_hold_neither_names_nor_content_and_give_back_what_was_sent(tmp_path: Path, border: Sealing) -> None:
    path = tmp_path / "journal" / "journal.db"
    with Journal(path, sealing=border) as journal:
        journal.accept([upload(), upload("ben", VALUE + b"2", "s3://bucket/ben/memo.wav")])
        assert not [
            word for word in (b"annabell", UPLOADED.memo_id.encode(), VALUE[12:40], b"/ann/") if word in files(path)
        ]
        assert [(each.key, each.value) for each in journal.unfinished()] == [
            (b"annabell", VALUE),
            (b"ben", VALUE + b"2"),
        ]
        assert journal.needed_audio(0.0) == {COPY}, "of audio elsewhere no copy is kept"
        subject = border.keyring.subject("annabell").hex()
        assert journal.of_users([subject, "annabell"]) == [COPY]


@pytest.mark.parametrize("by", ["memo", "upload"])
def test_a_sealed_upload_is_finished_as_one_in_clear(tmp_path: Path, border: Sealing, by: str) -> None:
    with Journal(tmp_path / "journal.db", sealing=border) as journal:
        journal.accept([upload(), upload("ben")])
        journal.accept([upload()])
        if by == "memo":
            journal.finish([("annabell", UPLOADED.memo_id)])
        else:
            journal.finish(uploads=[upload()])
        assert [each.key for each in journal.unfinished()] == [b"ben"]


def test_rows_in_clear_are_read_and_finished_beside_sealed_ones(tmp_path: Path, border: Sealing) -> None:
    """Sealing was switched on between two starts, and off again."""
    path = tmp_path / "journal.db"
    with Journal(path) as clear:
        clear.accept([upload()])
    with Journal(path, sealing=border) as journal:
        journal.accept([upload(), upload("ben")])
        assert [each.key for each in journal.unfinished()] == [b"annabell", b"ben"]
        journal.finish([("annabell", UPLOADED.memo_id)])
    off = Sealing(sealing(tmp_path / "keys").model_copy(update={"seal": "off"}))
    with closing(off), Journal(path, sealing=off) as journal:
        assert [(each.key, is_sealed(each.value)) for each in journal.unfinished()] == [(b"ben", False)]
        journal.finish([("ben", UPLOADED.memo_id)])
        assert journal.unfinished() == []


def test_uploads_of_an_erased_person_are_neither_kept_nor_sent_again(tmp_path: Path, border: Sealing) -> None:
    with Journal(tmp_path / "journal.db", sealing=border) as journal:
        journal.accept([upload(), upload("ben")])
        subject = border.keyring.subject("annabell")
        border.keyring.directory.mark_erasing("annabell")
        border.keyring.forget(subject)
        journal.accept([upload(value=VALUE + b"later")])
        assert [each.key for each in journal.unfinished()] == [b"ben"]
        assert journal.forget_users([subject.hex(), "annabell"]) == 1


@pytest.mark.parametrize("named", ["", topics.UPLOADED.name], ids=["sealed", "left-clear"])
def test_rows_in_clear_are_of_whom_they_were_accepted_from(tmp_path: Path, named: str) -> None:
    """Rows of before sealing, of somebody who was erased meanwhile, and then of one who returns."""
    path, now = tmp_path / "journal.db", time.time()
    with Journal(path, lambda: now - 60) as before:
        before.accept([upload(), upload("ben")])
    with closing(Sealing(sealing(tmp_path / "keys", seal_clear_topics=named))) as border:
        border.keyring.warm_now(["annabell"], enrol=True)
        erase(border.keyring, "annabell")
        with Journal(path, sealing=border) as journal:
            assert [each.key for each in journal.unfinished()] == [b"ben"]
            journal.accept([upload(value=VALUE + b"noted")])
            if not named:
                assert [each.key for each in journal.unfinished()] == [b"ben"], "what was read before"
            journal.accept([upload(value=VALUE + b"new")], enters=True)
            assert (b"annabell", VALUE + b"new") in [(each.key, each.value) for each in journal.unfinished()]
            assert (b"annabell", VALUE) not in [(each.key, each.value) for each in journal.unfinished()]


def test_topics_left_in_clear_leave_the_journal_in_clear(tmp_path: Path) -> None:
    settings = sealing(tmp_path / "keys", seal_clear_topics=topics.UPLOADED.name)
    with closing(Sealing(settings)) as border, Journal(tmp_path / "journal.db", sealing=border) as journal:
        journal.accept([upload()])
        assert journal.unfinished() == [upload()]

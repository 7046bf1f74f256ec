"""An erasure in a home: the person's audio and rows go, others' stay, and every file of the table is searched."""

import asyncio
from pathlib import Path

from schemas.privacy_marks import Erased
from schemas.stored_files import AUDIO, HISTORY, JOURNAL, KEYS, STORE, STORED_FILES
from streams.local.inbox import Inbox
from streams.local.journal import Journal, Upload
from streams.local.privacy.home_place import HomePlace
from streams.privacy.places import Person, Trial

PERSON = Person("a-rare-user", bytes(range(16)))


def test_audio_and_rows_of_the_person_go_and_others_stay(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "audio")
    with Journal(tmp_path / "journal.db") as journal:
        for user in ("a-rare-user", "other"):
            uri = inbox.put(f"voice of {user}".encode(), f"{user} 1.wav")
            journal.accept([Upload(user.encode(), f"upload of {user}".encode(), "m1", user, uri)])
    place = HomePlace(tmp_path)
    before = asyncio.run(place.attempt(PERSON))
    assert before["copies of audio"] == Trial(tried=2, named=1)
    assert not before["journal"].passed
    assert asyncio.run(place.forget(PERSON)) == {"copies of audio": 1, "journal": 1}
    assert asyncio.run(place.forget(PERSON)).total() == 0, "it may be repeated"
    asyncio.run(place.rewrite())
    assert all(trial.passed for trial in asyncio.run(place.attempt(PERSON)).values())
    assert [path.name for path in inbox.folder.iterdir()] == ["other 1.wav"]


def test_a_home_without_files_has_nothing_to_forget(tmp_path: Path) -> None:
    assert asyncio.run(HomePlace(tmp_path).forget(PERSON)).total() == 0
    assert not (tmp_path / "journal.db").exists()


def test_the_pseudonym_and_the_subject_are_found_wherever_they_are_in_a_file(tmp_path: Path) -> None:
    store = tmp_path / "store" / "appendonlydir"
    store.mkdir(parents=True)
    (store / "appendonly.aof").write_bytes(bytes((1 << 20) - 4) + b"a-rare-user\r\n" + bytes(1 << 20))
    (tmp_path / "history.db-wal").write_bytes(b"x" * 1000 + PERSON.subject)
    found = asyncio.run(HomePlace(tmp_path).attempt(PERSON))
    assert found[STORE.name] == Trial(tried=1, named=1)
    assert found[HISTORY.name] == Trial(tried=1, sealed=1)


def test_a_file_that_a_running_system_deletes_meanwhile_is_no_longer_there(tmp_path: Path) -> None:
    copies = [tmp_path / "audio" / name for name in ("1.wav", "2.wav")]
    copies[0].parent.mkdir()
    for copy in copies:
        copy.write_bytes(b"a voice")

    class Watched(Person):
        """Whose first file is deleted as soon as it was searched for the pseudonym."""

        def named_in(self, data: bytes) -> bool:
            copies[0].unlink(missing_ok=True)
            return super().named_in(data)

    found = asyncio.run(HomePlace(tmp_path).attempt(Watched(PERSON.user_id, PERSON.subject)))
    assert found[AUDIO.name] == Trial(tried=1)


def test_every_file_of_a_home_that_holds_data_of_people_has_somebody_who_erases_it() -> None:
    """The home deletes two, the keys' steps one; Redis and SQL rewrite their own."""
    by_place = {AUDIO: Erased.DELETED, JOURNAL: Erased.ENTRIES, KEYS: Erased.DELETED}
    by_place |= {HISTORY: Erased.REWRITTEN, STORE: Erased.REWRITTEN}
    assert {row: row.marks.erased for row in STORED_FILES if row.names and row.marks.personal} == by_place

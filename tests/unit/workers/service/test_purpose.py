"""An end on purpose is noted for the next process, and a folder that cannot be used changes nothing."""

import os
import time
from pathlib import Path

from workers.service.purpose import KEPT_S, ended_on_purpose, note_end


def test_an_end_is_known_to_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "ended"
    assert not ended_on_purpose("0000000a", folder)
    note_end("0000000a", folder)
    note_end("0000000b", folder)
    note_end("0000000b", folder)
    assert ended_on_purpose("0000000a", folder)
    assert ended_on_purpose("0000000b", folder)
    assert not ended_on_purpose("0000000c", folder)
    assert not ended_on_purpose("", folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_old_ends_are_forgotten(tmp_path: Path) -> None:
    for name, age_s in (("0000000a", KEPT_S + 60), ("0000000b", KEPT_S - 60)):
        note_end(name, tmp_path)
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    note_end("0000000c", tmp_path)
    assert {note.name for note in tmp_path.iterdir()} == {"0000000b", "0000000c"}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "0000000a").symlink_to(tmp_path / "elsewhere")
    note_end("0000000a", tmp_path)
    assert not (tmp_path / "elsewhere").exists()
    assert not ended_on_purpose("0000000a", tmp_path)


def test_a_folder_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "none" / "ended", tmp_path / "file"):
        note_end("0000000a", folder)
        assert not ended_on_purpose("0000000a", folder)

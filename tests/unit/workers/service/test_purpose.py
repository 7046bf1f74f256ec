"""An end on purpose is noted for the next process, and a file that cannot be used changes nothing."""

from pathlib import Path

import pytest

from workers.service.purpose import KEPT, ended_on_purpose, note_end


def test_an_end_is_known_to_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    assert not ended_on_purpose("0000000a", path)
    note_end("0000000a", path)
    note_end("0000000b", path)
    assert ended_on_purpose("0000000a", path)
    assert ended_on_purpose("0000000b", path)
    assert not ended_on_purpose("0000000c", path)
    assert not ended_on_purpose("", path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_last_ends_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "ended"
    for number in range(KEPT + 1):
        note_end(f"{number:08x}", path)
    assert not ended_on_purpose(f"{0:08x}", path)
    assert ended_on_purpose(f"{KEPT:08x}", path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", bytes(100_000)])
def test_a_file_of_others_is_no_note(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ended"
    path.write_bytes(content)
    assert not ended_on_purpose("0000000a", path)
    note_end("0000000a", path)
    assert ended_on_purpose("0000000a", path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "ended").symlink_to(tmp_path / "elsewhere")
    note_end("0000000a", tmp_path / "ended")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    note_end("0000000a", tmp_path / "none" / "ended")
    assert not ended_on_purpose("0000000a", tmp_path / "none" / "ended")

from pathlib import Path

import pytest

from schemas.errors import Stop
from streams.terminal.files import audio_files, writing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.M4A", "notes.txt", "inner/c.opus", "inner/.wav/d.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_gives_its_audio_in_order_whatever_the_case_of_the_ending(folder: Path) -> None:
    names = [str(path.relative_to(folder)) for path in audio_files([folder])]
    assert names == ["a.M4A", "b.wav", "inner/.wav/d.flac", "inner/c.opus"]


def test_a_file_that_is_named_is_taken_whatever_its_ending_and_whether_it_is_there(folder: Path) -> None:
    named = [folder / "notes.txt", folder / "absent.wav", folder / "inner"]
    found = audio_files(named)
    assert found[:2] == named[:2]
    assert [path.name for path in found[2:]] == ["d.flac", "c.opus"]


def test_paths_keep_the_order_in_which_they_are_given(folder: Path) -> None:
    assert audio_files([folder / "b.wav", folder / "a.M4A"]) == [folder / "b.wav", folder / "a.M4A"]
    assert audio_files([]) == []


def test_a_file_that_the_disk_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="/dev/full cannot be written: No space left"), writing(Path("/dev/full")):
        Path("/dev/full").write_bytes(b"x" * 10)
    with pytest.raises(ValueError, match="ours"), writing(tmp_path / "x"):
        raise ValueError("ours")

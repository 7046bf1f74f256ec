"""The kind of a file by its first bytes, and tags before it."""

import pytest

from tests.audio_bombs import id3
from tests.audio_files import encodings, spoken
from workers.containers.kinds import FIRST_BOXES, id3v2_length, magic_kind, without_leading_tags

ENCODINGS = encodings(spoken(1.0))
KINDS = {
    "wav": "wav", "flac": "flac", "vorbis": "ogg", "opus": "ogg", "m4a": "mov", "3gp": "mov", "webm": "matroska",
    "amr": "amr", "caf": "caf", "aiff": "aiff",
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_container_is_known_by_its_first_bytes(name: str, kind: str) -> None:
    assert magic_kind(ENCODINGS[name][:16]) == kind


@pytest.mark.parametrize("box", sorted(FIRST_BOXES))
def test_a_movie_may_begin_with_any_box_of_its_kind(box: bytes) -> None:
    assert magic_kind(b"\0\0\0\x08" + box) == "mov"


@pytest.mark.parametrize("data", [b"", b"RIF", b"text of any length", ENCODINGS["mp3"][:3], b"\xff\xfb\x90\x00"])
def test_other_bytes_are_of_no_kind(data: bytes) -> None:
    assert magic_kind(data) is None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300_000])
def test_tags_are_passed_over_however_many(size: int) -> None:
    tag = id3(bytes(size))
    assert id3v2_length(tag) == size + 10
    assert without_leading_tags(tag + tag + b"fLaC") == b"fLaC"


def test_a_footer_is_part_of_its_tag() -> None:
    assert id3v2_length(b"ID3\x04\0\x10\0\0\0\x05" + b"\0" * 15) == 25


@pytest.mark.parametrize("data", [b"ID3", b"ID3\xff\0\0\0\0\0\0", b"ID3\x04\0\0\x80\0\0\0", b"fLaC"])
def test_what_is_no_tag_has_no_length(data: bytes) -> None:
    assert id3v2_length(data) == 0
    assert without_leading_tags(data) is data

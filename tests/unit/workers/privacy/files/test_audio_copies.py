"""Copies of audio: sealed in segments, whole or not at all, and of nobody once their person is erased."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Erased, Poison
from schemas.settings import Settings
from tests.keys import erase, sealing
from workers.privacy.files.audio_copies import BEGINNING, SEGMENT_BYTES, TAG_BYTES, AudioCopies
from workers.privacy.sealing import close_all, sealing_of

ANN, BEN = "ann", "ben"
PIECE = SEGMENT_BYTES + TAG_BYTES
TWO = os.urandom(SEGMENT_BYTES + 100)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    yield sealing(tmp_path)
    close_all()


@pytest.fixture
def copies(settings: Settings) -> AudioCopies:
    return AudioCopies(settings)


@pytest.mark.parametrize("length", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES])
def test_audio_of_any_length_comes_back(copies: AudioCopies, length: int) -> None:
    audio = os.urandom(length)
    copy = copies.sealed(ANN, audio)
    assert copies.opened(copy) == audio
    assert 0 < len(copy) - length <= copies.room(length)
    assert length < 16 or audio[:16] not in copy


def test_no_two_copies_are_alike_and_their_name_says_nothing(copies: AudioCopies) -> None:
    assert copies.sealed(ANN, TWO) != copies.sealed(ANN, TWO)
    digest = "ab" * 32
    assert copies.name(ANN, digest) == copies.name(ANN, digest) != copies.name(BEN, digest)
    assert digest[:8] not in copies.name(ANN, digest)


@pytest.mark.parametrize(
    "changed",
    [
        lambda copy: copy[:-1],
        lambda copy: copy[: BEGINNING + PIECE],
        lambda copy: copy[:BEGINNING],
        lambda copy: copy[:30],
        lambda copy: copy + b"\0",
        lambda copy: copy[:BEGINNING] + copy[BEGINNING + PIECE :],
        lambda copy: copy[: BEGINNING + PIECE] + copy[BEGINNING : BEGINNING + PIECE] + copy[BEGINNING + PIECE :],
        lambda copy: copy[:25] + bytes([copy[25] ^ 1]) + copy[26:],
        lambda copy: copy[:-20] + bytes([copy[-20] ^ 1]) + copy[-19:],
    ],
)
def test_a_copy_that_was_changed_or_cut_does_not_open(copies: AudioCopies, changed: object) -> None:
    assert callable(changed)
    with pytest.raises(Poison):
        copies.opened(changed(copies.sealed(ANN, TWO)))


def test_a_copy_of_somebody_else_is_no_copy_of_hers(copies: AudioCopies) -> None:
    ann, ben = copies.sealed(ANN, TWO), copies.sealed(BEN, TWO)
    with pytest.raises(Poison):
        copies.opened(ben[:21] + ann[21:])


def test_copies_of_an_erased_person_do_not_open_and_others_do(copies: AudioCopies, settings: Settings) -> None:
    mine, other = copies.sealed(ANN, TWO), copies.sealed(BEN, TWO)
    erase(sealing_of(settings).keyring, ANN)
    with pytest.raises(Erased):
        copies.opened(mine)
    assert copies.opened(other) == TWO


def test_what_is_in_clear_stays_readable_and_off_writes_as_before(copies: AudioCopies, tmp_path: Path) -> None:
    assert copies.opened(b"RIFF of before") == b"RIFF of before"
    off = AudioCopies(Settings(home=tmp_path / "clear"))
    assert (off.sealed(ANN, b"audio"), off.name(ANN, "ab"), off.room(10**8)) == (b"audio", "ab", 0)
    assert off.opened(b"audio") == b"audio"
    assert not (tmp_path / "clear").exists(), "no key is made"


def test_what_was_sealed_is_read_with_sealing_off(copies: AudioCopies, settings: Settings) -> None:
    copy = copies.sealed(ANN, TWO)
    assert AudioCopies(settings.model_copy(update={"seal": "off"})).opened(copy) == TWO

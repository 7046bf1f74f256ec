"""What counts as one recording, what as several, and what is refused before any work."""

from pathlib import Path

import numpy as np
import pytest

from workers.offline.recordings import Recording, recordings_in

SAMPLES = (np.zeros(16000, np.float32), 16000)


@pytest.mark.parametrize(
    "one", ["memo.wav", Path("memo.wav"), b"RIFF", SAMPLES], ids=["str", "path", "bytes", "samples"]
)
def test_one_recording_is_a_list_of_one(one: object) -> None:
    assert recordings_in(one) == [one]  # type: ignore[arg-type]


def test_several_may_come_in_any_iterable_and_of_any_kind() -> None:
    several: list[Recording] = ["a.wav", Path("b.wav"), b"RIFF", SAMPLES]
    assert recordings_in(several) == several
    assert recordings_in(each for each in several) == several
    assert recordings_in(("a.wav", "b.wav")) == ["a.wav", "b.wav"]
    assert recordings_in([]) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros(16000), "samples come with their sampling rate"),
        (7, "int is no recording"),
        (None, "NoneType is no recording"),
        (["a.wav", 7], "recording 1 is of type int"),
        ([np.zeros(16000)], "recording 0 is of type ndarray"),
        ([(np.zeros((2, 2, 2)), 16000)], "recording 0 has samples of shape"),
        ([("a.wav", 16000)], "recording 0 has samples of shape"),
        ([(np.zeros(9, complex), 16000)], "complex128"),
        ([([0, 1, -1], 16000)], "type int64.*of 8 to 32 bits"),
    ],
    ids=str,
)
def test_what_is_no_recording_is_refused_with_its_place(given: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        recordings_in(given)  # type: ignore[arg-type]

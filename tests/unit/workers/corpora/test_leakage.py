from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from workers.corpora.leakage import content_hashes, fingerprints, refuse_leaks, refuse_seen
from workers.corpora.manifest import Sample


def sample(folder: Path, name: str, content: bytes, speaker: str) -> Sample:
    (folder / name).write_bytes(content)
    return Sample(folder / name, speaker, 0.0)


def test_a_sound_split_passes(tmp_path: Path) -> None:
    samples = [
        sample(tmp_path, "a", b"1", "ann"),
        sample(tmp_path, "b", b"2", "ann"),
        sample(tmp_path, "c", b"3", "bob"),
    ]
    refuse_leaks(samples, ["train", "train", "test"], content_hashes(samples))


def test_a_speaker_on_both_sides_is_caught(tmp_path: Path) -> None:
    samples = [sample(tmp_path, "a", b"1", "ann"), sample(tmp_path, "b", b"2", "ann")]
    with pytest.raises(ConfigurationError, match="1 speakers are on both sides, dev and train"):
        refuse_leaks(samples, ["train", "dev"], content_hashes(samples))
    refuse_leaks(samples, ["train", "dev"], content_hashes(samples), by_time=True)


@pytest.mark.parametrize("by_time", [False, True])
def test_a_recording_on_both_sides_is_caught_under_any_name(tmp_path: Path, by_time: bool) -> None:
    samples = [sample(tmp_path, "a", b"1", "ann"), sample(tmp_path, "copy", b"1", "someone else")]
    with pytest.raises(ConfigurationError, match="1 recordings are on both sides"):
        refuse_leaks(samples, ["train", "test"], content_hashes(samples), by_time=by_time)


def test_a_bundle_is_not_judged_on_what_it_was_trained_on(tmp_path: Path) -> None:
    trained = content_hashes([sample(tmp_path, "a", b"1", "ann")])
    fresh = content_hashes([sample(tmp_path, "b", b"2", "bob")])
    refuse_seen(fresh, fingerprints(trained))
    with pytest.raises(ConfigurationError, match="trained on 1 of these"):
        refuse_seen([*fresh, *trained], fingerprints(trained))

"""A corpus: its sides, its digest, and no leak between the sides."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.settings import Settings
from tests.unit.workers.scoring.toys import ACOUSTIC, memo
from workers.corpora import corpus as module
from workers.corpora.corpus import TEST, TRAIN, Corpus, corpus_by_time, corpus_of, features_of, groups_of, sides_of
from workers.corpora.features import LabelledFeatures, examples_of
from workers.corpora.manifest import Sample


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Four memos of each of two speakers, one a day; every recording has other bytes."""
    found = []
    for number in range(8):
        path = tmp_path / f"{number}.wav"
        path.write_bytes(bytes([number]))
        day = datetime(2026, 1, 1 + number % 4, tzinfo=UTC)
        split = "train" if number < 4 else "test"
        found.append(Sample(path, "ab"[number // 4], float(number % 2), recorded_at=day, split=split))
    return found


def labelled(samples: list[Sample]) -> LabelledFeatures:
    parts = [memo() for _ in samples]
    return LabelledFeatures(examples_of(samples, parts), samples, {Modality.ACOUSTIC: ACOUSTIC}, {})


def test_the_sides_are_the_corpus_s_own_and_train_without_a_split(samples: list[Sample]) -> None:
    corpus = corpus_of(samples)
    assert [*corpus.sides] == [TRAIN] * 4 + [TEST] * 4
    assert not corpus.by_time
    assert {*corpus_of([replace(sample, split="") for sample in samples]).sides} == {TRAIN}


def test_a_chronological_split_holds_out_every_speaker_s_last_memos(samples: list[Sample]) -> None:
    corpus = corpus_by_time(samples[::-1])
    held = [sample for sample, side in zip(corpus.samples, corpus.sides, strict=True) if side == TEST]
    assert corpus.by_time
    assert {sample.speaker for sample in held} == {"a", "b"}
    for sample in held:
        trained = [s for s, side in zip(corpus.samples, corpus.sides, strict=True) if side == TRAIN]
        assert all(s.recorded_at < sample.recorded_at for s in trained if s.speaker == sample.speaker)  # type: ignore[operator]


@pytest.mark.parametrize("make", [corpus_of, corpus_by_time])
def test_a_corpus_that_leaks_is_refused(samples: list[Sample], make: Callable[[list[Sample]], Corpus]) -> None:
    samples[7].path.write_bytes(samples[0].path.read_bytes())
    with pytest.raises(ConfigurationError, match="leaks"):
        make(samples)


def test_the_digest_is_of_content_and_labels_not_of_names_or_order(samples: list[Sample], tmp_path: Path) -> None:
    digest = corpus_of(samples).digest
    moved = samples[0].path.rename(tmp_path / "renamed.wav")
    renamed = [replace(samples[0], path=moved), *samples[1:]]
    assert corpus_of(renamed).digest == corpus_of(renamed[::-1]).digest == digest
    others = [
        [replace(renamed[0], label=1.0), *renamed[1:]],
        [replace(renamed[0], spans=((0.0, 1.0),)), *renamed[1:]],
        [replace(renamed[0], speaker="c"), *renamed[1:]],
        [replace(sample, split="train") for sample in renamed],
        renamed[1:],
    ]
    assert len({digest, *(corpus_of(other).digest for other in others)}) == 6
    moved.write_bytes(b"other audio")
    assert corpus_of(renamed).digest != digest


def test_sides_and_groups_follow_the_memos_that_have_features(samples: list[Sample]) -> None:
    samples[6] = replace(samples[6], groups={"sex": "f"})
    corpus = corpus_of(samples)
    features = labelled([samples[6], samples[1]])
    assert sides_of(corpus, features).tolist() == [TEST, TRAIN]
    assert groups_of(features) == [{"sex": "f"}, {}]


def test_two_samples_of_one_recording_keep_their_own_sides(samples: list[Sample]) -> None:
    first, second = replace(samples[0], spans=((0.0, 1.0),)), replace(samples[0], spans=((1.0, 2.0),))
    corpus = Corpus([first, second], ["x", "x"], [TRAIN, "dev"])
    assert sides_of(corpus, labelled([second, first])).tolist() == ["dev", TRAIN]


def test_features_are_asked_for_with_the_hashes_of_the_corpus(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def extract(*given: object) -> LabelledFeatures:
        asked.extend(given)
        return labelled(samples)

    monkeypatch.setattr(module, "labelled_features", extract)
    corpus, settings = corpus_of(samples), Settings.load()
    found = features_of(corpus, settings, [Modality.ACOUSTIC], None, print)
    assert asked == [samples, corpus.hashes, settings, [Modality.ACOUSTIC], None, print]
    np.testing.assert_array_equal(found.examples.labels, [sample.label for sample in samples])

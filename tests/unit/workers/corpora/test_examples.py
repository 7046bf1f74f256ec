"""Baselines of examples: other memos of the same speaker, earlier ones where times are known."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.events import FloatArray, Modality
from tests.unit.workers.scoring.toys import bundle, memo
from tests.unit.workers.training.cohorts import people
from workers.corpora.examples import EVERY, Examples, default_memos, deviations_after, normals
from workers.scoring.personal_baseline import MEMORY, PersonalNormal, deviations, normal_of

EXAMPLES = people(speakers=4, memos=6)
NUMBERED = np.arange(24, dtype=np.float32)[:, None]


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_baseline_holds_neither_the_memo_itself_nor_another_speaker() -> None:
    baselines, counts = normals(NUMBERED, EXAMPLES, EVERY, rng())
    assert (counts == 5).all()
    for index in range(24):
        own = [other for other in range(24) if other // 6 == index // 6 and other != index]
        assert baselines.mean[index, 0] == pytest.approx(np.mean(own))


def test_where_times_are_known_a_baseline_holds_earlier_memos_only() -> None:
    timed = replace(EXAMPLES, times=np.tile([5.0, 4.0, 3.0, 2.0, 1.0, 0.0], 4))
    baselines, counts = normals(NUMBERED, timed, EVERY, rng())
    assert counts[:6].tolist() == [5, 4, 3, 2, 1, 0]
    assert baselines.mean[2, 0] == np.mean([3, 4, 5])
    assert not baselines.known[5]
    _, counts = normals(NUMBERED, replace(EXAMPLES, times=np.zeros(24)), EVERY, rng())
    assert (counts == 0).all(), "memos of the same moment are not earlier"


@pytest.mark.parametrize("memos", [0, 1, 3, 5, 8])
def test_a_baseline_holds_as_many_memos_as_asked_where_there_are_so_many(memos: int) -> None:
    baselines, counts = normals(NUMBERED, EXAMPLES, memos, rng())
    assert (counts == min(memos, 5)).all()
    assert (baselines.count[:, 0] == min(memos, 5)).all()
    assert baselines.known.all() == (memos > 0)


def test_a_baseline_never_holds_more_than_the_stream_remembers() -> None:
    many = people(speakers=1, memos=MEMORY + 10)
    _, counts = normals(np.zeros((MEMORY + 10, 1), np.float32), many, EVERY, rng())
    assert (counts == MEMORY).all()


def test_the_memos_of_a_baseline_are_drawn_by_the_generator() -> None:
    means = [normals(NUMBERED, EXAMPLES, 2, np.random.default_rng(seed))[0].mean.tolist() for seed in (1, 1, 2)]
    assert means[0] == means[1] != means[2]


def test_deviations_are_those_of_the_stream_after_the_same_memos() -> None:
    population = bundle().population
    vectors = np.random.default_rng(1).normal(size=(24, 6)).astype(np.float32)
    found = deviations_after(vectors, EXAMPLES, population, EVERY, rng())
    others = np.array([other for other in range(6) if other != 2])
    np.testing.assert_allclose(found[2], deviations(normal_of(vectors[others]), population, vectors[2]), rtol=1e-5)
    none = deviations_after(vectors, EXAMPLES, population, 0, rng())
    np.testing.assert_allclose(none[2], deviations(PersonalNormal.empty(6), population, vectors[2]), rtol=1e-5)


def test_choosing_keeps_everything_of_a_memo_together() -> None:
    where = np.arange(24) % 5 == 0
    timed = replace(EXAMPLES, times=np.arange(24.0))
    chosen = timed.chosen(where)
    assert len(chosen) == 5
    assert chosen.times.tolist() == [0, 5, 10, 15, 20]
    assert [*chosen.parts] == [timed.parts[index] for index in (0, 5, 10, 15, 20)]
    assert chosen.speakers.tolist() == timed.speakers[where].tolist()
    assert chosen.labels.tolist() == timed.labels[where].tolist()


def test_vectors_are_those_of_the_feature_space() -> None:
    parts = [memo(pitch_sd=1.0), memo(mfcc1=2.0)]
    examples = Examples(parts, np.zeros(2), np.array(["a", "b"]), np.full(2, np.nan))
    vectors: FloatArray = examples.vectors(bundle().space)
    np.testing.assert_array_equal(vectors, [[1, 0, 0, 0, 0, 0], [0, 0, 0, 2, 0, 0]])
    del parts[1][Modality.EMBEDDING]
    assert np.isnan(examples.vectors(bundle().space)[1, 4:]).all()


def test_where_every_speaker_has_one_label_a_baseline_would_hide_it() -> None:
    assert default_memos(EXAMPLES) == EVERY
    constant = EXAMPLES.chosen((EXAMPLES.labels > 0.5) == (np.char.endswith(EXAMPLES.speakers, "1")))
    assert default_memos(constant) == 0
    undecided = replace(EXAMPLES, labels=np.where(EXAMPLES.labels > 0.5, 0.5, 0.0))
    assert default_memos(undecided) == 0
    one_differs = EXAMPLES.chosen((EXAMPLES.labels > 0.5) | (EXAMPLES.speakers == "s00"))
    assert default_memos(one_differs) == EVERY

"""From labelled features to a feature space, a population and heads: what each of them is made of."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.events import Modality
from tests.unit.workers.scoring.toys import NAMES, part
from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.corpora.examples import EVERY, Examples
from workers.scoring.head import HeadInput
from workers.scoring.heads import LogisticHead
from workers.training import fit_heads
from workers.training.fit_heads import DROPPED, space_of, uncalibrated
from workers.training.logistic_trainer import TrainingSet
from workers.training.population import population_of

EXAMPLES = people(speakers=8, memos=8)
ACOUSTIC = {Modality.ACOUSTIC: EXTRACTORS[Modality.ACOUSTIC]}
EMBEDDING = {Modality.EMBEDDING: EXTRACTORS[Modality.EMBEDDING]}


def embedded(*summaries: list[float]) -> Examples:
    """Memos that are nothing but an embedding."""
    parts = [{Modality.EMBEDDING: part(Modality.EMBEDDING, summary)} for summary in summaries]
    return Examples(parts, np.zeros(len(parts)), np.array(["s"] * len(parts)), np.full(len(parts), np.nan))


def test_embedded_memos_lie_about_zero_with_a_variance_of_one_on_every_axis() -> None:
    space = space_of(EXAMPLES, EXTRACTORS, RECIPE)
    assert space.names == (*NAMES, "embedding_00", "embedding_01")
    vectors = EXAMPLES.vectors(space)[:, len(NAMES) :]
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(vectors.T, bias=True), np.eye(2), atol=1e-4)


def test_axes_go_where_the_embedding_varies_most_and_none_where_it_does_not() -> None:
    memos = embedded([3, 0, 1], [-3, 0, 1], [0, 1, 1], [0, -1, 1])
    space = space_of(memos, EMBEDDING, replace(RECIPE, axes=5))
    assert space.axes.shape == (3, 2)
    first, second = space.axes.T
    assert np.abs(first).argmax() == 0
    assert np.abs(second).argmax() == 1
    assert first[0] > 0
    assert second[1] > 0, "the sign of an axis is fixed"
    assert space.acoustic == ()


def test_without_an_embedding_there_are_the_acoustic_features_alone() -> None:
    assert space_of(EXAMPLES, ACOUSTIC, RECIPE).names == NAMES


def test_the_population_is_of_everyone_or_of_the_controls() -> None:
    bundle, controls = (uncalibrated(EXAMPLES, ACOUSTIC, replace(RECIPE, controls=only)) for only in (False, True))
    vectors, low = EXAMPLES.vectors(bundle.space), EXAMPLES.labels < 0.5
    np.testing.assert_array_equal(bundle.population.mean, population_of(vectors, EXAMPLES.speakers).mean)
    calm = population_of(vectors[low], EXAMPLES.speakers[low])
    np.testing.assert_array_equal(controls.population.mean, calm.mean)
    assert controls.population.mean[1] < bundle.population.mean[1], "pauses are planted in the others"


def test_a_bundle_names_only_features_that_it_has() -> None:
    recipe = replace(RECIPE, acoustic=NAMES[1:], silent=("pitch_sd", "mfcc1"))
    bundle = uncalibrated(EXAMPLES, ACOUSTIC, recipe)
    assert bundle.markers == ("pause_share", "pause_rate")
    assert bundle.silent == ("mfcc1",)


def test_a_silent_feature_weighs_nothing() -> None:
    heads = [uncalibrated(EXAMPLES, ACOUSTIC, replace(RECIPE, silent=silent)).head for silent in ((), ("pause_share",))]
    usual, silenced = (head.weights()["coefficients"][NAMES.index("pause_share")] for head in heads)
    assert abs(usual) > 0.1
    assert silenced == pytest.approx(0.0, abs=1e-6)


def test_patience_is_the_recipe_s_or_one() -> None:
    assert uncalibrated(EXAMPLES, ACOUSTIC, replace(RECIPE, patience=4.0)).population.patience == 4.0
    assert uncalibrated(EXAMPLES, ACOUSTIC, replace(RECIPE, patience=None)).population.patience == 1.0


def test_who_has_no_baseline_gets_a_head_that_learnt_without_any() -> None:
    recipe = replace(RECIPE, cold_starts=(0, EVERY), apart=True)
    both, one = uncalibrated(EXAMPLES, ACOUSTIC, recipe), uncalibrated(EXAMPLES, ACOUSTIC, replace(recipe, apart=False))
    cold = uncalibrated(EXAMPLES, ACOUSTIC, replace(recipe, cold_starts=(0,), apart=False))
    assert one.first is None
    assert both.first is not None
    np.testing.assert_array_equal(both.first.head.weights()["coefficients"], cold.head.weights()["coefficients"])
    assert not np.array_equal(both.head.weights()["coefficients"], one.head.weights()["coefficients"])


def test_some_memos_of_a_training_lose_one_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[HeadInput] = []

    def train_head(kind: str, data: TrainingSet, seed: int, penalty: float) -> LogisticHead:
        seen.append(data.inputs)
        assert data.rounds == 2
        assert len(data.labels) == len(data.speakers) == 2 * len(examples)
        return LogisticHead(np.zeros(6, np.float32), 0.0)

    monkeypatch.setattr(fit_heads, "train_head", train_head)
    examples = people(speakers=20, memos=20)
    uncalibrated(examples, EXTRACTORS, replace(RECIPE, cold_starts=(0, EVERY)))
    (inputs,) = seen
    without = [(part == 0).all(axis=1) for part in np.split(inputs.deviations, [4], axis=1)]
    assert not (without[0] & without[1]).any()
    for absent in without:
        assert absent.mean() == pytest.approx(DROPPED / 2, abs=0.03)
    uncalibrated(examples, ACOUSTIC, replace(RECIPE, cold_starts=(0, EVERY)))
    assert not (seen[1].deviations == 0).all(axis=1).any(), "where there is one modality none is lost"


def test_windows_are_standardised_by_the_training_memos(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[HeadInput] = []

    def train_head(kind: str, data: TrainingSet, seed: int, penalty: float) -> LogisticHead:
        seen.append(data.inputs)
        return LogisticHead(np.zeros(4, np.float32), 0.0)

    monkeypatch.setattr(fit_heads, "train_head", train_head)
    bundle = uncalibrated(EXAMPLES, ACOUSTIC, replace(RECIPE, kind="bilstm", cold_starts=(0,)))
    windows = np.concatenate([memo[Modality.ACOUSTIC].windows for memo in EXAMPLES.parts])
    np.testing.assert_allclose(bundle.window_mean, windows.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bundle.window_sd, windows.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(seen[0].windows[seen[0].mask].mean(axis=0), 0, atol=1e-4)
    assert uncalibrated(EXAMPLES, ACOUSTIC, replace(RECIPE, cold_starts=(0,))).window_mean.size == 0


def test_the_same_recipe_gives_the_same_bundle() -> None:
    recipe = replace(RECIPE, cold_starts=(2,))
    one, again, other = (uncalibrated(EXAMPLES, EXTRACTORS, replace(recipe, seed=seed)).head for seed in (0, 0, 1))
    weights = [head.weights()["coefficients"].tolist() for head in (one, again, other)]
    assert weights[0] == weights[1] != weights[2]

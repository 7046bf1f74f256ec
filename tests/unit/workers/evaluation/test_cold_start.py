"""The curve over the number of memos in a baseline, and the gain over none."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.workers.training.cohorts import EXTRACTORS, RECIPE, people
from workers.corpora.examples import EVERY, Examples
from workers.evaluation import metrics
from workers.evaluation.cold_start import LEAST_SPEAKERS, ColdStart, cold_start
from workers.scoring.bundle import Bundle
from workers.scoring.personal_baseline import PersonalNormal, deviations
from workers.scoring.scorer import logits
from workers.training.fit_heads import uncalibrated

FRESH = people(speakers=12, memos=6, seed=4)
EVERYONE = np.ones(len(FRESH), bool)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Trained on people who differ more from one another than their memos do."""
    return uncalibrated(people(speakers=12, memos=6), EXTRACTORS, replace(RECIPE, cold_starts=(0, EVERY)))


def curve(bundle: Bundle, examples: Examples = FRESH, judged: np.ndarray = EVERYONE, seed: int = 0) -> ColdStart:
    return cold_start(bundle, examples, judged, np.random.default_rng(seed), rounds=50, draws=2)


def test_every_number_of_memos_has_its_auc_and_all_but_none_a_gain(bundle: Bundle) -> None:
    found = curve(bundle)
    assert list(found.auc) == ["0", "1", "2", "4", "all"], "of six memos five are others"
    assert list(found.gain) == list(found.auc)[1:]
    assert found.speakers == dict.fromkeys(found.auc, 12)
    assert all(low <= high for low, high in found.gain.values())


def test_without_a_memo_everyone_is_scored_against_the_population(bundle: Bundle) -> None:
    vectors = FRESH.vectors(bundle.space)
    stranger = deviations(PersonalNormal.empty(vectors.shape[1]), bundle.population, vectors)
    alone = logits(bundle, stranger, FRESH.parts, np.zeros(len(FRESH), bool)).calibrated
    assert curve(bundle).auc["0"] == pytest.approx(metrics.auc(FRESH.labels > 0.5, alone))


def test_a_baseline_is_worth_more_the_older_it_is_and_the_interval_says_so(bundle: Bundle) -> None:
    found = curve(bundle)
    assert found.auc["0"] < found.auc["1"] < found.auc["all"]
    low, high = found.gain["all"]
    assert 0 < low < found.auc["all"] - found.auc["0"] < high


def test_the_curve_ends_where_too_few_speakers_have_so_many_memos(bundle: Bundle) -> None:
    shorter = np.ones(len(FRESH), bool)
    for speaker in np.unique(FRESH.speakers)[LEAST_SPEAKERS - 1 :]:
        shorter[np.flatnonzero(FRESH.speakers == speaker)[3:]] = False
    few = FRESH.chosen(shorter)
    found = curve(bundle, few, np.ones(len(few), bool))
    assert found.speakers == {"0": 12, "1": 12, "2": 12, "all": 12}, "three speakers have four other memos"


def test_one_memo_each_is_no_curve(bundle: Bundle) -> None:
    first = FRESH.chosen(np.arange(len(FRESH)) % 6 == 0)
    alone = replace(first, labels=np.arange(12, dtype=np.float64) % 2)
    found = curve(bundle, alone, np.ones(12, bool))
    assert found.speakers == {"0": 12, "all": 0}
    assert found.auc["0"] == found.auc["all"]


def test_only_what_is_judged_counts_and_the_others_make_baselines(bundle: Bundle) -> None:
    judged = np.arange(len(FRESH)) % 6 < 3
    some, few = curve(bundle, judged=judged), curve(bundle, FRESH.chosen(judged), EVERYONE[judged])
    assert some.auc["0"] == few.auc["0"]
    assert some.auc["all"] != few.auc["all"]


def test_the_same_generator_gives_the_same_curve(bundle: Bundle) -> None:
    assert curve(bundle, seed=3) == curve(bundle, seed=3) != curve(bundle, seed=4)

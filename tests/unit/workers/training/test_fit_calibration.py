import numpy as np
import pytest

from workers.scoring.calibration import Calibration
from workers.training.fit_calibration import (
    FITS,
    Floats,
    Method,
    better_method,
    choose_bands,
    fit_isotonic,
    fit_temperature,
)

GRID = np.linspace(-5, 5, 201).astype(np.float32)


def bent(raw: Floats) -> Floats:
    """A truth that no straight line of logits meets: steep below 0 and nearly level above."""
    return np.asarray(1 / (1 + np.exp(-np.where(raw < 0, 2.0, 0.1) * raw)))


def straight(raw: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(0.7 * raw - 0.4))))


def memos(truth: str, count: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    raw = rng.uniform(-5, 5, count)
    share = {"bent": bent, "straight": straight}[truth](raw)
    return raw, (rng.random(count) < share).astype(float), np.ones(count)


def error(found: Calibration, truth: Floats) -> float:
    return float(np.mean(np.abs(found.probability(GRID) - truth)))


def test_isotonic_follows_a_truth_that_temperature_cannot() -> None:
    known = memos("bent", 3000)
    truth = bent(GRID.astype(float))
    assert error(fit_isotonic(*known), truth) < 0.04
    assert error(fit_temperature(*known), truth) > 0.09


@pytest.mark.parametrize("count", [6, 40, 3000])
def test_isotonic_rises_without_ties_and_comes_back_from_the_manifest(count: int) -> None:
    found = fit_isotonic(*memos("bent", count))
    said = found.logit(np.linspace(-6, 6, 500).astype(np.float32))
    assert (np.diff(said) > 0).all()
    assert np.abs(said).max() < 4.0
    assert Calibration.from_json(found.to_json()) == found


def test_labels_that_a_score_parts_wholly_do_not_make_it_certain() -> None:
    raw = np.r_[np.linspace(-3, -1, 10), np.linspace(1, 3, 10)]
    found = fit_isotonic(raw, (raw > 0).astype(float), np.ones(20))
    assert 0.9 < found.probability(np.array([3.0], np.float32))[0] < 0.985


def test_isotonic_without_a_second_step_is_the_line() -> None:
    raw = np.linspace(-2, 2, 20)
    falling = (raw < 0).astype(float)
    assert fit_isotonic(raw, falling, np.ones(20)) == fit_temperature(raw, falling, np.ones(20))


@pytest.mark.parametrize(
    ("truth", "count", "expected"),
    [("bent", 1000, "isotonic"), ("straight", 1000, "temperature"), ("straight", 60, "temperature")],
)
def test_the_method_is_the_one_that_predicts_speakers_held_out(truth: str, count: int, expected: str) -> None:
    for seed in range(3):
        assert better_method(*memos(truth, count, seed), np.arange(count) % 10) == expected


def test_few_memos_that_are_parted_wholly_prove_nothing() -> None:
    raw = np.linspace(-3, 3, 40)
    assert better_method(raw, (raw > 0).astype(float), np.ones(40), np.arange(40) % 5) == "temperature"


def test_two_folds_are_too_few_to_choose_by() -> None:
    known = memos("bent", 1000)
    assert better_method(*known, np.arange(1000) % 2) == "temperature"


@pytest.mark.parametrize("method", [*FITS])
def test_soft_labels_and_weights_count_as_memos_would(method: Method) -> None:
    raw, labels, _ = memos("straight", 300)
    fit = FITS[method]
    doubled = fit(np.r_[raw, raw], np.r_[labels, 1 - labels], np.r_[np.full(300, 0.8), np.full(300, 0.2)])
    at_once = fit(raw, 0.8 * labels + 0.2 * (1 - labels), np.ones(300))
    np.testing.assert_allclose(doubled.probability(GRID), at_once.probability(GRID), atol=2e-3)


def test_a_few_wrong_memos_do_not_place_the_band() -> None:
    rng = np.random.default_rng(3)
    probability = rng.beta(0.4, 0.4, 200)
    labels = (rng.random(200) < probability).astype(float)
    wrong = labels.copy()
    sure = np.flatnonzero((probability < 0.05) & (labels < 0.5))[:3]
    unsure = np.flatnonzero((probability > 0.4) & (probability < 0.6) & (labels > 0.5))[:3]
    wrong[sure], wrong[unsure] = 1.0, 0.0

    assert len(sure) == len(unsure) == 3
    assert choose_bands(probability, wrong) == choose_bands(probability, labels)


def test_the_band_lies_on_both_sides_of_the_threshold_where_both_sides_are_as_sure() -> None:
    probability = np.linspace(0.01, 0.99, 99)
    labels = (probability > 0.5).astype(float)

    bands = choose_bands(probability, labels)

    assert bands.threshold - bands.low == pytest.approx(bands.high - bands.threshold, abs=0.03)

"""What counts as harmless; `tests/integration/test_equivalents.py` compares recordings."""

from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality
from schemas.settings import Settings
from tests.unit.schemas.test_bundle_equivalents import ONE
from workers.evaluation.equivalence import (
    Bounds,
    _largest_change,
    _rank_correlation,
    compare,
    precision_of,
)
from workers.scoring.bundle import Bundle


@pytest.mark.parametrize(
    ("change", "correlation", "harmless"),
    [(0.05, 0.999, True), (0.0501, 1.0, False), (0.0, 0.9989, False), (nan, 1.0, False), (0.0, nan, False)],
)
def test_both_bounds_must_hold(change: float, correlation: float, harmless: bool) -> None:
    assert replace(ONE, largest_change=change, rank_correlation=correlation).is_harmless is harmless


def test_a_score_in_one_precision_only_is_no_small_change() -> None:
    assert _largest_change(np.array([1.0, nan, 2.0]), np.array([1.1, nan, 1.5])) == 0.5
    assert np.isnan(_largest_change(np.array([1.0, nan]), np.array([1.0, 2.0])))
    assert _rank_correlation(np.array([1.0, 2.0, nan]), np.array([3.0, 4.0, nan])) == pytest.approx(1)


def test_the_precision_of_a_bundle_is_that_of_its_extractor() -> None:
    settings = Settings.load()
    bundle = Bundle.load(settings.bundle)
    assert precision_of(bundle, settings) == "float32"
    own = bundle.space.extractors[Modality.EMBEDDING]
    rounded = {Modality.EMBEDDING: replace(own, version=f"{own.version}-int8")}
    assert precision_of(replace(bundle, space=replace(bundle.space, extractors=rounded)), settings) == "int8"
    with pytest.raises(ConfigurationError, match="there is nothing to compare"):
        compare(bundle, settings, "float32", [Path("memo.wav")], Bounds())
    foreign = {Modality.EMBEDDING: Extractor("wav2vec2", "1", "b" * 64)}
    with pytest.raises(ConfigurationError, match="unset UNDERTONE_ENCODER"):
        precision_of(replace(bundle, space=replace(bundle.space, extractors=foreign)), settings)
    with pytest.raises(ConfigurationError, match="uses no embeddings"):
        precision_of(replace(bundle, space=replace(bundle.space, extractors={})), settings)

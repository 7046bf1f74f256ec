"""A memo's vector: the bundle's coordinates at their places, NaN where there is none, and nothing of another maker."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import Extractor, MemoFeatures, Modality
from tests.unit.workers.scoring.toys import ACOUSTIC, EMBEDDING, NAMES, f32, memo, part
from workers.scoring.feature_space import FeatureSpace

BOTH = {Modality.ACOUSTIC: ACOUSTIC, Modality.EMBEDDING: EMBEDDING}
SPACE = FeatureSpace(BOTH, ("mfcc1", "pitch_sd"), f32([1, 1, 1]), f32([[1, 0], [0, 2], [0, 0]]))
ALONE = FeatureSpace({Modality.ACOUSTIC: ACOUSTIC}, ("mfcc1", "pitch_sd"))


def test_chosen_features_stand_in_the_order_of_the_bundle_not_of_the_worker() -> None:
    parts = {Modality.ACOUSTIC: part(Modality.ACOUSTIC, [1, 2, 3, 4])}
    np.testing.assert_array_equal(ALONE.vector(parts), [4, 1])
    assert ALONE.names == ("mfcc1", "pitch_sd")
    assert ALONE.vector(parts).dtype == np.float32


def test_an_embedding_is_centred_and_laid_on_the_axes() -> None:
    parts = {Modality.EMBEDDING: part(Modality.EMBEDDING, [4, 3, 9])}
    np.testing.assert_array_equal(SPACE.vector(parts), [np.nan, np.nan, 3, 4])
    assert SPACE.names == ("mfcc1", "pitch_sd", "embedding_00", "embedding_01")


def test_what_a_memo_lacks_is_nan_and_named() -> None:
    parts = memo(pitch_sd=1.0)
    assert SPACE.missing(parts) == ()
    del parts[Modality.EMBEDDING]
    np.testing.assert_array_equal(SPACE.vector(parts), [0, 1, np.nan, np.nan])
    assert SPACE.missing(parts) == (Modality.EMBEDDING,)
    assert np.isnan(SPACE.vector({})).all()
    assert SPACE.missing({}) == (Modality.ACOUSTIC, Modality.EMBEDDING)


def test_a_feature_that_is_undefined_stays_so() -> None:
    vector = ALONE.vector({Modality.ACOUSTIC: part(Modality.ACOUSTIC, [np.nan, 0, 0, 7])})
    np.testing.assert_array_equal(vector, [7, np.nan])


def test_a_modality_that_the_bundle_does_not_score_is_not_looked_at() -> None:
    foreign = part(Modality.EMBEDDING, [0, 0, 0], extractor=Extractor("another", "9", "f" * 64))
    vector = ALONE.vector({Modality.ACOUSTIC: part(Modality.ACOUSTIC, [1, 2, 3, 4]), Modality.EMBEDDING: foreign})
    np.testing.assert_array_equal(vector, [4, 1])


def test_numbers_of_an_equivalent_are_those_of_the_bundles_own_maker_and_of_no_other() -> None:
    rounded, other = (replace(EMBEDDING, version=f"{EMBEDDING.version}-{each}") for each in ("bfloat16", "int8"))
    space = replace(SPACE, equivalents={Modality.EMBEDDING: (rounded,)})
    parts = {Modality.EMBEDDING: part(Modality.EMBEDDING, [4, 3, 9], extractor=rounded)}
    np.testing.assert_array_equal(space.vector(parts), [np.nan, np.nan, 3, 4])
    with pytest.raises(Poison, match=r"equivalents\.json"):
        space.vector({Modality.EMBEDDING: part(Modality.EMBEDDING, [4, 3, 9], extractor=other)})


@pytest.mark.parametrize("change", [{"name": "another"}, {"version": "2"}, {"weights_hash": "c" * 64}])
@pytest.mark.parametrize("modality", [Modality.ACOUSTIC, Modality.EMBEDDING])
def test_numbers_of_another_maker_are_refused_with_both_named(modality: Modality, change: dict[str, str]) -> None:
    other = replace(BOTH[modality], **change)
    given = part(modality, [0] * (4 if modality is Modality.ACOUSTIC else 3), extractor=other)
    with pytest.raises(Poison) as poison:
        SPACE.vector({modality: given})
    assert poison.value.reason == "features:mismatch"
    for extractor in (other, BOTH[modality]):
        assert f"{extractor.name} {extractor.version} ({extractor.weights_hash[:8]})" in poison.value.detail


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (part(Modality.EMBEDDING, [0, 0]), r"embedding.*\(2,\).*\(3,\)"),
        (replace(part(Modality.ACOUSTIC, [0] * 4), names=()), r"acoustic.*\(4,\).*\(0,\)"),
        (replace(part(Modality.ACOUSTIC, [0] * 4), names=("a", "b", "c", "d")), "lack mfcc1 and 1 more"),
        (replace(part(Modality.ACOUSTIC, [0] * 4), names=(*NAMES[:3], "d")), "lack mfcc1 and 0 more"),
    ],
)
def test_features_that_do_not_fit_are_refused(given: MemoFeatures, told: str) -> None:
    with pytest.raises(Poison, match=told) as poison:
        SPACE.vector({given.modality: given})
    assert poison.value.reason == "features:mismatch"

"""Values of the Python API, from the records that stages give."""

import math
import pickle
from dataclasses import replace

import numpy as np

from schemas.errors import Poison
from schemas.events import Modality
from schemas.markers import MARKER_NAMES
from tests.unit.workers.scoring.toys import part
from workers.acoustic.feature_names import FEATURE_NAMES, FUNCTIONAL_NAMES
from workers.offline.results import Failure, Features, Markers

SUMMARY = np.arange(len(FEATURE_NAMES), dtype=np.float32)
SUMMARY[FEATURE_NAMES.index("jitter")] = np.nan
ACOUSTIC = replace(
    part(Modality.ACOUSTIC, [0.0] * 4), summary=SUMMARY, names=FEATURE_NAMES, undefined=("jitter:no_voiced_frames",)
)


def test_markers_have_their_names_and_the_reason_of_each_nan() -> None:
    markers = Markers.of(ACOUSTIC)
    assert tuple(markers.values) == MARKER_NAMES
    assert markers["pitch_median"] == FEATURE_NAMES.index("pitch_median")
    assert math.isnan(markers["jitter"])
    assert markers.undefined == {"jitter": "no_voiced_frames"}
    assert markers.duration_s == ACOUSTIC.duration_s


def test_features_are_split_by_kind() -> None:
    features = Features.of({Modality.ACOUSTIC: ACOUSTIC, Modality.EMBEDDING: part(Modality.EMBEDDING, [1.0, 2.0])})
    np.testing.assert_array_equal(features.functionals, np.arange(len(FUNCTIONAL_NAMES)))
    np.testing.assert_array_equal(features.embedding.summary, [1.0, 2.0])
    assert features.markers.undefined == {"jitter": "no_voiced_frames"}


def test_results_travel_between_processes() -> None:
    for result in (Markers.of(ACOUSTIC), Failure.of(Poison("audio:empty", "no bytes"))):
        assert repr(pickle.loads(pickle.dumps(result))) == repr(result)

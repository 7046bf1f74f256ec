"""Every row of the pipeline's feature stages becomes the stage that it describes."""

import pytest

from schemas.errors import ConfigurationError
from schemas.events import Extractor, Modality
from schemas.pipeline import FEATURE_STAGES, FeatureStage
from schemas.settings import Settings
from workers.stages import check_extractors, make_stage


@pytest.mark.parametrize("row", FEATURE_STAGES, ids=lambda row: row.name)
def test_a_stage_has_the_name_and_the_modalities_of_its_row(row: FeatureStage) -> None:
    stage = make_stage(Settings.load(acoustic_processes=1), row)
    try:
        assert stage.name == row.name
        assert tuple(stage.extractors) == row.modalities
    finally:
        stage.close()


def test_features_of_another_origin_than_the_bundles_are_refused_before_any_memo() -> None:
    mine, other = Extractor("wav2vec2", "1", "a" * 64), Extractor("wav2vec2", "1", "b" * 64)
    check_extractors({Modality.EMBEDDING: mine}, {Modality.EMBEDDING: mine, Modality.ACOUSTIC: other})
    check_extractors({Modality.EMBEDDING: mine}, {})
    with pytest.raises(ConfigurationError, match=r"embedding.*wav2vec2 1 \(aaaaaaaa\).*wav2vec2 1 \(bbbbbbbb\)"):
        check_extractors({Modality.EMBEDDING: mine}, {Modality.EMBEDDING: other})


def test_another_precision_is_refused_unless_the_bundle_was_shown_to_accept_it() -> None:
    own, rounded = Extractor("wav2vec2", "1", "a" * 64), Extractor("wav2vec2", "1-bfloat16", "a" * 64)
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_PRECISION=float32.*undertone bundle verify-equivalent"):
        check_extractors({Modality.EMBEDDING: rounded}, {Modality.EMBEDDING: own})
    check_extractors({Modality.EMBEDDING: rounded}, {Modality.EMBEDDING: own}, {Modality.EMBEDDING: (rounded,)})

"""Every row of the pipeline's feature stages becomes the stage that it describes."""

import pytest

from schemas.pipeline import FEATURE_STAGES, FeatureStage
from schemas.settings import Settings
from workers.stages import make_stage


@pytest.mark.parametrize("row", FEATURE_STAGES, ids=lambda row: row.name)
def test_a_stage_has_the_name_and_the_modalities_of_its_row(row: FeatureStage) -> None:
    stage = make_stage(Settings.load(acoustic_processes=1), row)
    try:
        assert stage.name == row.name
        assert tuple(stage.extractors) == row.modalities
    finally:
        stage.close()

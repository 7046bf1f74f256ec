"""Every modality has a stage, or is refused by name."""

import pytest

from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.settings import Settings
from workers.stages import make_stage


def test_a_modality_that_nobody_extracts_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="no stage extracts the modality unknown"):
        make_stage(Settings.load(), Modality.UNKNOWN)


def test_the_acoustic_stage_is_made_for_its_modality() -> None:
    stage = make_stage(Settings.load(acoustic_processes=1), Modality.ACOUSTIC)
    try:
        assert stage.name == Modality.ACOUSTIC
    finally:
        stage.close()

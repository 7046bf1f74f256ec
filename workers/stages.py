"""Makes the stage of a modality, and loads only the libraries of that stage."""

from typing import assert_never

from schemas.errors import ConfigurationError
from schemas.events import MemoFeatures, Modality
from schemas.settings import Settings
from workers.audio.memo import Memo
from workers.consumer.stage import Stage


def make_stage(settings: Settings, modality: Modality) -> Stage[Memo, MemoFeatures]:
    """The stage that extracts one modality.

    Raises ConfigurationError for a modality that no stage extracts, or a model that cannot be used.
    """
    match modality:
        case Modality.ACOUSTIC:
            from workers.acoustic.stage import AcousticStage  # openSMILE

            return AcousticStage(settings)
        case Modality.EMBEDDING:
            from workers.wav2vec2.stage import EmbeddingStage  # TensorFlow

            return EmbeddingStage.from_settings(settings)
        case Modality.UNKNOWN:
            raise ConfigurationError(f"no stage extracts the modality {modality}: use acoustic or embedding")
        case _:
            assert_never(modality)

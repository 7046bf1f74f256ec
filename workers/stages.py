"""Makes the stage of a modality, and loads only the libraries of that stage."""

from schemas.events import MemoFeatures, Modality
from schemas.settings import Settings
from workers.audio.memo import Memo
from workers.consumer.stage import Stage


def make_stage(settings: Settings, modality: Modality) -> Stage[Memo, MemoFeatures]:
    """The stage that extracts one modality; only its own libraries are loaded. Raises ConfigurationError."""
    if modality is Modality.ACOUSTIC:
        from workers.acoustic.stage import AcousticStage

        return AcousticStage(settings)
    from workers.wav2vec2.stage import EmbeddingStage

    return EmbeddingStage.from_settings(settings)

"""Makes the feature stages of the pipeline's table, and loads only the libraries of the stage that it makes."""

from collections.abc import Mapping
from typing import Protocol, assert_never

from schemas.events import Extractor, MemoFeatures, Modality
from schemas.pipeline import FeatureStage, Implementation
from schemas.settings import Settings
from workers.audio.memo import Memo
from workers.consumer.stage import Stage


class FeatureExtractor(Stage[Memo, MemoFeatures], Protocol):
    """A stage that gives one record of features for each of its modalities."""

    @property
    def extractors(self) -> Mapping[Modality, Extractor]:
        """The extractor in the records of each modality."""


def make_stage(settings: Settings, row: FeatureStage) -> FeatureExtractor:
    """The stage that a row of the table describes. Raises ConfigurationError for a model that cannot be used."""
    match row.implementation:
        case Implementation.OPENSMILE:
            from workers.acoustic.stage import AcousticStage

            return AcousticStage(settings)
        case Implementation.WAV2VEC2:
            from workers.wav2vec2.stage import EmbeddingStage

            return EmbeddingStage.from_settings(settings)
        case _:
            assert_never(row.implementation)

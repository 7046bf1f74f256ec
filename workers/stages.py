"""Makes the feature stages of the pipeline's table, and loads only the libraries of the stage that it makes."""

from collections.abc import Mapping
from typing import Protocol, assert_never

from schemas.bundle_equivalents import NONE, differ_in_precision_alone, precision_of
from schemas.errors import ConfigurationError
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

    @property
    def device(self) -> str:
        """What it computes on, for the log: the name of an accelerator, or the CPU."""


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


def check_extractors(
    made: Mapping[Modality, Extractor],
    wanted: Mapping[Modality, Extractor],
    equivalents: Mapping[Modality, tuple[Extractor, ...]] = NONE,
) -> None:
    """Raises ConfigurationError when features of stages are not those that a bundle scores.

    made: by the stages, wanted: by the bundle, equivalents: what it accepts as well, each by modality; what the other
    lacks is not compared.
    """
    for modality in made.keys() & wanted.keys():
        mine, its = made[modality], wanted[modality]
        if mine == its or mine in equivalents.get(modality, ()):
            continue
        told = (
            f"the {modality} features here are from {mine.label}, and the bundle in UNDERTONE_BUNDLE was trained on "
            f"those from {its.label}; "
        )
        if differ_in_precision_alone(mine, its):
            raise ConfigurationError(
                f"{told}set UNDERTONE_PRECISION={precision_of(its)}, or show that the difference is harmless: "
                "`undertone bundle verify-equivalent RECORDINGS --bundle FOLDER`"
            )
        raise ConfigurationError(
            f"{told}run the version and the encoder (UNDERTONE_ENCODER) that it was trained with, or train it again "
            "(`undertone train`)"
        )

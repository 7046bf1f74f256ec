"""Whether a command needs TensorFlow, which takes seconds to load."""

from collections.abc import Collection
from pathlib import Path

from schemas.events import Modality
from schemas.pipeline import Implementation, feature_stages
from workers.service import quiet_tensorflow


def import_tensorflow_for(modalities: Collection[Modality] = (), bundle: Path | None = None) -> None:
    """Import TensorFlow where it is used: by the encoder, or by a neural head of the bundle in a folder.

    Raises ConfigurationError for a bundle that cannot be used.
    """
    encoder = any(stage.implementation is Implementation.WAV2VEC2 for stage in feature_stages(modalities))
    if encoder or (bundle is not None and _has_neural_head(bundle)):
        quiet_tensorflow.import_tensorflow()


def _has_neural_head(bundle: Path) -> bool:
    from workers.scoring.bundle import head_kind
    from workers.scoring.heads import NEURAL

    return head_kind(bundle) in NEURAL

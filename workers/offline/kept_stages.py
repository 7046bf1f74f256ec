"""Stages that are kept from one call to the next: a loaded encoder, processes that run openSMILE."""

import threading
import warnings
from collections.abc import Hashable

from schemas.pipeline import FeatureStage, Implementation
from schemas.settings import Settings
from workers.service.quiet_tensorflow import import_tensorflow
from workers.stages import FeatureExtractor, make_stage
from workers.wav2vec2.engines.choice import chosen


class KeptStages:
    """One stage of each kind, made when it is first needed and replaced when its settings change. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[Hashable, FeatureExtractor]] = {}

    def stage(self, settings: Settings, row: FeatureStage) -> FeatureExtractor:
        """The stage of a row of the pipeline's table. Raises ConfigurationError for a model that cannot be used."""
        key = _determined_by(settings, row)
        with self._lock:
            known, stage = self._stages.get(row.name, (None, None))
            if stage is None or known != key:
                if stage is not None:
                    stage.close()
                    del self._stages[row.name]
                stage = quiet_stage(settings, row)
                self._stages[row.name] = (key, stage)
            return stage

    def close(self) -> None:
        """End the processes and let go of the models; a later call makes new ones."""
        with self._lock:
            for _, stage in self._stages.values():
                stage.close()
            self._stages.clear()


def quiet_stage(settings: Settings, row: FeatureStage) -> FeatureExtractor:
    """As `make_stage`, without what TensorFlow and the hub's client write when they are loaded."""
    if row.implementation is Implementation.WAV2VEC2 and chosen(settings).engine == "xla":
        import_tensorflow()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # in a notebook without widgets
        return make_stage(settings, row)


def _determined_by(settings: Settings, row: FeatureStage) -> Hashable:
    """The settings that a stage is made by."""
    if row.implementation is Implementation.OPENSMILE:
        return settings.window_s, settings.acoustic_processes
    return (
        settings.encoder or settings.bundle,
        *(settings.window_s, settings.encoder_batch_s, settings.precision, settings.engine),
        *(settings.intra_op_threads, settings.memory_growth, settings.program_cache, settings.warm),
    )

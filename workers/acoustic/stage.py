"""The acoustic feature worker's stage: memos to acoustic features, with openSMILE."""

from collections.abc import Sequence

from schemas.errors import Poison
from schemas.events import MemoFeatures, Modality
from schemas.settings import Settings
from workers.acoustic.extraction import AcousticFeatures, extractor
from workers.acoustic.feature_names import FEATURE_NAMES
from workers.acoustic.process_pool import ExtractionPool
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome


class AcousticStage:
    """A Stage from Memo to MemoFeatures of the acoustic modality."""

    name = "acoustic"
    at_once = 2
    """Batches overlap: the next one fills the processes that the last memos of a batch leave idle."""

    def __init__(self, settings: Settings) -> None:
        self._window_s = settings.window_s
        self.device = f"CPU, {settings.acoustic_processes} processes"
        self._pool = ExtractionPool(settings.acoustic_processes, settings.window_s)
        self.extractors = {Modality.ACOUSTIC: extractor()}

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        """One MemoFeatures per memo, or Poison: `acoustic:too_short`, `acoustic:crash`."""
        results = self._pool.extract([memo.signal for memo in batch])
        return [
            result if isinstance(result, Poison) else [self._record(memo, result)]
            for memo, result in zip(batch, results, strict=True)
        ]

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def _record(self, memo: Memo, features: AcousticFeatures) -> MemoFeatures:
        return memo.features(
            Modality.ACOUSTIC,
            self.extractors[Modality.ACOUSTIC],
            self._window_s,
            features.windows,
            features.summary,
            names=FEATURE_NAMES,
            undefined=features.undefined,
        )

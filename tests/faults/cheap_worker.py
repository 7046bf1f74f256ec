"""`python -m tests.faults.cheap_worker acoustic`: the real `undertone worker`, only that hearing costs nothing.

Two things are put in place of the real ones: decoding (the "audio" is a vector, see cohort.py) and the stage.
Reading the audio store, the loop, delivery, commits and the end are those of production.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np

from schemas.errors import Poison
from schemas.events import FloatArray, MemoFeatures, MemoUploaded, Modality, Quality
from schemas.pipeline import FeatureStage
from schemas.settings import Settings
from streams import cli
from streams.roles import feature_worker
from tests.faults.cohort import acoustic_summary, embedding_summary
from workers.audio.memo import Memo, Reserve, no_reservation
from workers.audio.storage import AudioStore
from workers.consumer.stage import Outcome
from workers.scoring.bundle import Bundle
from workers.service import quiet_tensorflow
from workers.stages import FeatureExtractor

QUALITY = Quality(speech_s=5.0, snr_db=30.0, clipped=0.0, bandwidth_hz=8000.0)
DURATION_S = 6.0


class CheapStage:
    """The features that a memo's vector stands for."""

    def __init__(self, settings: Settings, row: FeatureStage) -> None:
        (self._modality,) = row.modalities
        self._bundle = Bundle.load(settings.bundle)
        self.name = str(self._modality)
        self.extractors = {self._modality: self._bundle.space.extractors[self._modality]}
        self.device = "none"

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        return [[self._features(memo)] for memo in batch]

    def close(self) -> None: ...

    def heard(self, memo: Memo) -> tuple[FloatArray, float]:
        """The vector of a memo, and its duration in seconds."""
        return memo.signal, DURATION_S

    def _features(self, memo: Memo) -> MemoFeatures:
        vector, duration_s = self.heard(memo)
        acoustic = self._modality is Modality.ACOUSTIC
        summary = (acoustic_summary if acoustic else embedding_summary)(self._bundle, vector)
        event = memo.event
        return MemoFeatures(
            event.memo_id, event.user_id, event.recorded_at, event.uploaded_at, self._modality,
            self.extractors[self._modality], duration_s, 15.0, summary[None], summary,
            self._bundle.space.acoustic if acoustic else (), QUALITY,
        )  # fmt: skip


def load(event: MemoUploaded, store: AudioStore, settings: Settings, reserve: Reserve = no_reservation) -> Memo:
    """As workers.audio.load.load_memo, with a vector for a signal."""
    reserve(DURATION_S)
    data = store.read(event.audio_uri, event.sha256)
    if len(data) % 4 or not data:
        raise Poison("audio:undecodable", "this is no vector")
    return Memo(event, np.frombuffer(data, "<f4"), QUALITY)


def run(make_stage: Callable[[Settings, FeatureStage], FeatureExtractor]) -> None:
    """`undertone worker`, with this in place of workers.stages.make_stage."""
    feature_worker.make_stage = make_stage  # type: ignore[attr-defined, assignment]
    quiet_tensorflow.import_tensorflow = lambda: None
    sys.argv[1:1] = ["worker"]
    cli.main()


if __name__ == "__main__":
    feature_worker.load_memo = load  # type: ignore[attr-defined]
    run(CheapStage)

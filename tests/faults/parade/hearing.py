"""`python -m tests.faults.parade.hearing acoustic`: the real `undertone worker`, only that features cost nothing.

Storage, decoding and its limits, the loop, delivery and commits are those of production; the stage alone is another:
features are numbers derived from the decoded samples, so that a memo that is decoded otherwise is scored otherwise.
"""

import sys
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from schemas.events import MemoFeatures, Modality, Quality
from schemas.pipeline import FeatureStage
from schemas.settings import Settings
from streams import cli
from streams.cli import tensorflow_quiet
from streams.roles import feature_worker
from tests.faults.cohort import CHANGE_SD, acoustic_summary, embedding_summary
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome
from workers.scoring.bundle import Bundle

QUALITY = Quality(speech_s=5.0, snr_db=30.0, clipped=0.0, bandwidth_hz=8000.0)
BRIGHT = 0.3
"""A signal with more zero crossings a sample is of a user who has changed."""


class DerivedStage:
    """Features that follow from the samples alone."""

    def __init__(self, bundle: Bundle, modality: Modality) -> None:
        self.name = str(modality)
        self.extractors = {modality: bundle.space.extractors[modality]}
        self._bundle, self._modality = bundle, modality
        coefficients = bundle.head.weights()["coefficients"]
        self._worse = CHANGE_SD * coefficients / np.linalg.norm(coefficients)

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        return [[self._features(memo)] for memo in batch]

    def close(self) -> None: ...

    def _features(self, memo: Memo) -> MemoFeatures:
        rng = np.random.default_rng(crc32(np.ascontiguousarray(memo.signal).tobytes()))
        changed = float(np.mean(np.diff(np.signbit(memo.signal)))) > BRIGHT
        vector = (rng.normal(0, 1, len(self._worse)) + changed * self._worse).astype(np.float32)
        acoustic = self._modality is Modality.ACOUSTIC
        summary = (acoustic_summary if acoustic else embedding_summary)(self._bundle, vector)
        event = memo.event
        return MemoFeatures(
            event.memo_id, event.user_id, event.recorded_at, event.uploaded_at, self._modality,
            self.extractors[self._modality], memo.duration_s, 15.0, summary[None], summary,
            self._bundle.space.acoustic if acoustic else (), QUALITY,
        )  # fmt: skip


def make_stage(settings: Settings, row: FeatureStage) -> DerivedStage:
    """As workers.stages.make_stage, without any cost."""
    (modality,) = row.modalities
    return DerivedStage(Bundle.load(settings.bundle), modality)


if __name__ == "__main__":
    feature_worker.make_stage = make_stage  # type: ignore[attr-defined]
    tensorflow_quiet.import_tensorflow = lambda: None
    sys.argv[1:1] = ["worker"]
    cli.main()

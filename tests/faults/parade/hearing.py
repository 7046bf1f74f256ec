"""`python -m tests.faults.parade.hearing acoustic`: the real `undertone worker`, only that features cost nothing.

Storage, decoding and its limits, the loop, delivery and commits are those of production; the stage alone is another:
features are numbers derived from the decoded samples, so that a memo that is decoded otherwise is scored otherwise.
"""

from zlib import crc32

import numpy as np

from schemas.events import FloatArray
from schemas.pipeline import FeatureStage
from schemas.settings import Settings
from tests.faults import cheap_worker
from tests.faults.cohort import worsening
from workers.audio.memo import Memo

BRIGHT = 0.3
"""A signal with more zero crossings a sample is of a user who has changed."""


class DerivedStage(cheap_worker.CheapStage):
    """Features that follow from the samples alone."""

    def __init__(self, settings: Settings, row: FeatureStage) -> None:
        super().__init__(settings, row)
        self._worse = worsening(self._bundle)

    def heard(self, memo: Memo) -> tuple[FloatArray, float]:
        rng = np.random.default_rng(crc32(np.ascontiguousarray(memo.signal).tobytes()))
        changed = float(np.mean(np.diff(np.signbit(memo.signal)))) > BRIGHT
        vector = rng.normal(0, 1, len(self._worse)) + changed * self._worse
        return vector.astype(np.float32), memo.duration_s


if __name__ == "__main__":
    cheap_worker.run(DerivedStage)

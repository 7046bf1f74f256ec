"""`python -m tests.benchmarks.sleeping_worker SECONDS`: the real `undertone worker acoustic`, which sleeps for a memo.

As `tests.faults.cheap_worker`, with a stage that takes SECONDS for every memo and no CPU.
"""

import sys
import time
from collections.abc import Sequence

from schemas.events import MemoFeatures
from schemas.pipeline import FeatureStage
from schemas.settings import Settings
from streams.roles import feature_worker
from tests.faults import cheap_worker
from tests.faults.cheap_worker import CheapStage
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome


class SleepingStage(CheapStage):
    """Features as CheapStage gives them, after a while."""

    def __init__(self, settings: Settings, row: FeatureStage, seconds: float) -> None:
        super().__init__(settings, row)
        self._seconds = seconds

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        """One after the other."""
        time.sleep(self._seconds * len(batch))
        return super().process(batch)


if __name__ == "__main__":
    seconds = float(sys.argv[1])
    feature_worker.load_memo = cheap_worker.load  # type: ignore[attr-defined]
    sys.argv[1:] = ["acoustic"]
    cheap_worker.run(lambda settings, row: SleepingStage(settings, row, seconds))

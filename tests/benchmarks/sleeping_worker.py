"""`python -m tests.benchmarks.sleeping_worker SECONDS`: the real `undertone worker acoustic`, which sleeps for a memo.

As `tests.faults.cheap_worker`, with a stage that takes SECONDS for every memo and no CPU.
"""

import sys
import time
from collections.abc import Sequence

from schemas.events import MemoFeatures, Modality
from schemas.pipeline import FeatureStage
from schemas.settings import Settings
from streams import cli
from streams.roles import feature_worker
from tests.faults import cheap_worker
from tests.faults.cheap_worker import CheapStage
from workers.audio.memo import Memo
from workers.consumer.stage import Outcome
from workers.scoring.bundle import Bundle


class SleepingStage(CheapStage):
    """Features as CheapStage gives them, after a while."""

    def __init__(self, bundle: Bundle, modality: Modality, seconds: float) -> None:
        super().__init__(bundle, modality)
        self._seconds = seconds

    def process(self, batch: Sequence[Memo]) -> Sequence[Outcome[MemoFeatures]]:
        """One after the other."""
        time.sleep(self._seconds * len(batch))
        return super().process(batch)


def make_stage(settings: Settings, row: FeatureStage) -> SleepingStage:
    """As workers.stages.make_stage."""
    return SleepingStage(Bundle.load(settings.bundle), row.modalities[0], float(seconds))


if __name__ == "__main__":
    seconds = sys.argv[1]
    feature_worker.make_stage, feature_worker.load_memo = make_stage, cheap_worker.load  # type: ignore[attr-defined]
    sys.argv[1:] = ["worker", "acoustic"]
    cli.main()

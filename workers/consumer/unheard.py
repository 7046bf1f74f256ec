"""A memo that is not read, because its person does not consent: it still has an outcome, and one without its voice.

Each of its modalities is a record without features whose only content is the reason, so that the memo has one score,
`indeterminate`, as any memo that cannot be judged: whoever waits for it, counts it or looks for lost ones sees that it
was settled. It is no dead letter: nothing failed, and giving consent again is no reason to read it after all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from schemas.events import Extractor, MemoFeatures, MemoUploaded, Modality, Quality

NOTHING = Extractor("none", "1", "none")
"""The extractor of what was not read."""
LEAST_S = 0.001
"""Length and window of what was not read: records hold no zero there."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """The event of a memo, and why its audio was not fetched: `consent:paused` for example."""

    event: MemoUploaded
    reason: str

    def features(self, modalities: Iterable[Modality]) -> list[MemoFeatures]:
        """A record of each modality that says so and holds nothing else of the memo."""
        return [self._record(modality) for modality in modalities]

    def _record(self, modality: Modality) -> MemoFeatures:
        event = self.event
        return MemoFeatures(
            memo_id=event.memo_id,
            user_id=event.user_id,
            recorded_at=event.recorded_at,
            uploaded_at=event.uploaded_at,
            modality=modality,
            extractor=NOTHING,
            duration_s=LEAST_S,
            window_s=LEAST_S,
            windows=np.zeros((0, 0), np.float32),
            summary=np.zeros(0, np.float32),
            names=(),
            quality=Quality(0.0, 0.0, 0.0, 0.0, (self.reason,)),
        )

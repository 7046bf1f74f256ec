"""Dead letters: how a permanently failed record is stored, and how many of them stop a stage."""

from collections import deque
from datetime import datetime
from typing import Self

from schemas.errors import DeadLetterCapReached, Poison
from schemas.events import DeadLetter
from schemas.ids import dead_letter_id
from schemas.settings import Settings
from workers.kafka.record import Source

_ADVICE = (
    "current batch not committed: see `undertone dead-letters list`, fix the cause, restart, "
    "then run `undertone dead-letters redrive`"
)


def dead_letter(source: Source, poison: Poison, stage: str, at: datetime) -> DeadLetter:
    """The dead letter of `source`. The same record at the same stage gives the same id."""
    return DeadLetter(
        dead_letter_id=dead_letter_id(stage, source.topic, source.partition, source.offset),
        stage=stage,
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        key=source.key,
        value=source.value,
        # Kafka headers may be null, which Avro's map of bytes does not allow.
        headers={name: value or b"" for name, value in source.headers.items()},
        reason=poison.reason,
        detail=poison.detail,
        at=at,
    )


class DeadLetterCap:
    """Limit on dead letters: a bad deployment must not move a whole topic to `memos.dead`.

    max_share: of the last `window` records (checked once that many were seen); max_run: in a row.
    """

    def __init__(self, max_share: float, window: int, max_run: int) -> None:
        self._max_share = max_share
        self._max_run = max_run
        self._recent: deque[bool] = deque(maxlen=window)
        self._run = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The cap from the settings."""
        return cls(settings.dead_letter_max_share, settings.dead_letter_window, settings.dead_letter_max_run)

    @property
    def share(self) -> float:
        """Share of dead letters in the window so far."""
        return sum(self._recent) / max(len(self._recent), 1)

    def record(self, poisoned: bool) -> None:
        """Record the outcome of one more record. Raises DeadLetterCapReached when it would exceed the cap."""
        self._recent.append(poisoned)
        self._run = self._run + 1 if poisoned else 0
        if self._run > self._max_run:
            raise DeadLetterCapReached(
                f"{self._run} records in a row could not be processed (UNDERTONE_DEAD_LETTER_MAX_RUN is "
                f"{self._max_run}); {_ADVICE}"
            )
        if len(self._recent) == self._recent.maxlen and sum(self._recent) > self._max_share * len(self._recent):
            raise DeadLetterCapReached(
                f"{sum(self._recent)} of the last {len(self._recent)} records could not be processed "
                f"(UNDERTONE_DEAD_LETTER_MAX_SHARE is {self._max_share:g}); {_ADVICE}"
            )

    def reset(self) -> None:
        """Clear the recorded outcomes, once the fault has passed."""
        self._recent.clear()
        self._run = 0

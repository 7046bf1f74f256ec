"""Dead letters: how a permanently failed record is stored, and how many of them stop a stage."""

import re
from collections import Counter, deque
from collections.abc import Hashable
from datetime import datetime
from typing import Self

from schemas.errors import DeadLetterCapReached, Poison
from schemas.events import DeadLetter
from schemas.ids import dead_letter_id
from schemas.settings import Settings
from schemas.trimmed_letters import Absent, kept
from workers.kafka.record import Source, Unread
from workers.service.terminal import escaped

_ADVICE = (
    "current batch not committed: see `undertone dead-letters list`, fix the cause, restart, "
    "then run `undertone dead-letters redrive`"
)
REASON_MOST = 128
DETAIL_MOST = 600
"""Characters, escaped: of up to four bytes each, within the limit of `DeadLetter.detail`."""
_NO_CODE = re.compile("[^!-~]")
_PROCESSED = object()
"""Stands for a record that did not fail."""


def dead_letter(source: Source, poison: Poison, stage: str, at: datetime) -> DeadLetter:
    """The dead letter of `source`, which fits its topic. The same record at the same stage gives the same id."""
    whole = kept(source.key, _value_of(source.value), source.headers)
    return DeadLetter(
        dead_letter_id=dead_letter_id(stage, source.topic, source.partition, source.offset),
        stage=stage,
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        key=whole.key,
        value=whole.value,
        headers=whole.headers,
        reason=_NO_CODE.sub("?", poison.reason)[:REASON_MOST] or "unknown",
        detail=escaped(poison.detail)[:DETAIL_MOST],
        at=at,
    )


def _value_of(value: bytes | None) -> bytes | Absent | None:
    """What a dead letter may keep of a value."""
    if not isinstance(value, Unread):
        return value
    return Absent(value.size, value.sha256) if value.sealed is None else value.sealed


class DeadLetterCap:
    """Limit on dead letters: a bad deployment must not move a whole topic to `memos.dead`.

    max_share: of the last `window` records (checked once that many were seen); max_run: in a row. A bad deployment
    fails for many users, a bad phone for one: of one user at most a quarter of either limit counts, and one user alone
    never reaches it.
    """

    def __init__(self, max_share: float, window: int, max_run: int) -> None:
        self._max_share, self._window, self._max_run = max_share, window, max_run
        self._recent: deque[Hashable] = deque()
        """The last records: the user of a dead letter, `_PROCESSED` for any other."""
        self._failed: Counter[Hashable] = Counter()
        """Dead letters among them, by user."""
        self._run: Counter[Hashable] = Counter()
        """Dead letters since the last other record, by user."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The cap from the settings."""
        return cls(settings.dead_letter_max_share, settings.dead_letter_window, settings.dead_letter_max_run)

    @property
    def share(self) -> float:
        """Share of dead letters in the window so far."""
        return self._failed.total() / max(len(self._recent), 1)

    def record(self, poisoned: bool, user: Hashable = None) -> None:
        """Record the outcome of one more record. Raises DeadLetterCapReached when it would exceed the cap.

        user: whose record it is; None: of a user of its own.
        """
        self._remember((object() if user is None else user) if poisoned else _PROCESSED)
        if _exceeds(self._run, self._max_run):
            raise DeadLetterCapReached(
                f"{self._run.total()} records in a row could not be processed (UNDERTONE_DEAD_LETTER_MAX_RUN is "
                f"{self._max_run}); {_ADVICE}"
            )
        if len(self._recent) == self._window and _exceeds(self._failed, self._max_share * self._window):
            raise DeadLetterCapReached(
                f"{self._failed.total()} of the last {self._window} records could not be processed "
                f"(UNDERTONE_DEAD_LETTER_MAX_SHARE is {self._max_share:g}); {_ADVICE}"
            )

    def _remember(self, outcome: Hashable) -> None:
        self._recent.append(outcome)
        if outcome is _PROCESSED:
            self._run.clear()
        else:
            self._run[outcome] += 1
            self._failed[outcome] += 1
        if len(self._recent) > self._window and (oldest := self._recent.popleft()) is not _PROCESSED:
            self._failed[oldest] -= 1
            self._failed += Counter()  # drops users without dead letters

    def reset(self) -> None:
        """Clear the recorded outcomes, once the fault has passed."""
        for record in (self._recent, self._failed, self._run):
            record.clear()


def _exceeds(failed: Counter[Hashable], limit: float) -> bool:
    """Whether there are more than `limit` dead letters, of each user at most a quarter of it counted."""
    counted = sum(min(count, max(limit // 4, 1)) for count in failed.values())
    return len(failed) > 1 and counted > limit

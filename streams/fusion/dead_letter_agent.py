"""Closes the joins of memos that became dead letters before they were scored.

Without it such a memo would have two outcomes: the dead letter, and, after the join timeout of the missing modality, an
indeterminate score. A memo has one outcome; see `docs/decisions/0019-one-outcome-a-memo.md`.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import DEFECT
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded
from schemas.pipeline import DEAD_LETTERS
from schemas.redrive_headers import redrives_of
from schemas.state_keys import JOIN
from streams.drift.silence_watch import Heard
from streams.fusion import join as fusion
from streams.fusion.rules import FusionRules
from workers.kafka.record import Batch, Source
from workers.service import prometheus
from workers.service.record_time import arrived_s
from workers.state.deadlines import Deadlines
from workers.state.store import Store, Update

log = logging.getLogger(__name__)

STAGE = DEAD_LETTERS.name
Memo: TypeAlias = MemoUploaded | MemoFeatures
_KINDS: Mapping[str, type[Any]] = {topics.UPLOADED.name: MemoUploaded, topics.FEATURES.name: MemoFeatures}
"""The records that name a memo which is not scored yet, by their topic."""


class DeadLetterAgent:
    """Reads `memos.dead` and closes the joins of its memos. It writes no dead letters of dead letters.

    hear: takes their users' speaking into account: a memo that cannot be read is no silence.
    """

    def __init__(
        self,
        rules: FusionRules,
        store: Store,
        deadlines: Deadlines,
        codec: Codec,
        hear: Callable[[Sequence[Heard]], Awaitable[None]] | None = None,
    ) -> None:
        self._rules, self._store, self._deadlines, self._codec = rules, store, deadlines, codec
        self._hear = hear

    async def process(self, batch: Batch) -> None:
        """Mark the joins of these dead letters as dead. Raises Transient."""
        memos: dict[str, tuple[Memo, int]] = {}
        heard: list[Heard] = []
        for source in batch.sources:
            found = self._memo(source)
            if found is None:
                continue
            memo, attempt, closes = found
            arrived = arrived_s(source.timestamp_ms, time.time())
            heard.append(Heard(memo.user_id, memo.memo_id, memo.uploaded_at.timestamp(), arrived))
            if closes:
                key = JOIN.key(memo.user_id, memo.memo_id)
                memos[key] = (memo, max(attempt, memos[key][1] if key in memos else 0))
        if heard and self._hear is not None:
            await self._hear(heard)
        dead = await self._store.update(list(memos), self._marking(memos), ttl_s=self._rules.join_ttl_s)
        await self._deadlines.drop([key for key, is_dead in dead.items() if is_dead])

    def _memo(self, source: Source) -> tuple[Memo, int, bool] | None:
        """The memo of a dead letter, its attempt, and whether its join is to be closed here.

        None for other topics, and records that are not memos.
        """
        try:
            dead_letter = self._codec.decode(source.value, DeadLetter)
        except DecodeError as error:
            prometheus.RECORDS_FAILED.labels(stage=STAGE).inc()
            log.warning("undecodable dead letter skipped: %s", error)
            return None
        kind = _KINDS.get(dead_letter.topic)
        if kind is None:
            return None
        try:
            memo: Memo = self._codec.decode(dead_letter.value, kind)
        except DecodeError:
            return None
        # Fusion itself closes the join of features that it cannot score, but not of those that it fails on.
        closes = kind is MemoUploaded or dead_letter.reason.startswith(DEFECT)
        return memo, redrives_of(dead_letter.headers), closes

    @staticmethod
    def _marking(memos: Mapping[str, tuple[Memo, int]]) -> Update[bool]:
        def mark(key: str, state: bytes | None) -> tuple[bytes | None, bool]:
            join = fusion.mark_dead(fusion.stored(key, state), *memos[key])
            return (None if join is None else join.to_bytes()), join is not None

        return mark

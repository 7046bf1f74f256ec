"""The letters hop: a memo that became a dead letter on its way to the features is not waited for any longer.

Without it such a memo would have two outcomes: the dead letter, and, once the timer gave up waiting for the missing
modality, an indeterminate score. A memo has one outcome; see `docs/decisions/0019-one-outcome-a-memo.md`.
"""

import logging
from collections.abc import Mapping

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import DeadLetter, MemoUploaded
from schemas.redrive_headers import redrives_of
from schemas.state_keys import JOIN
from streams.fusion import join as fusion
from streams.fusion.rules import FusionRules
from workers.kafka.record import Batch, Source
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store, Update

log = logging.getLogger(__name__)

STAGE = "letters"


class DeadLetterAgent:
    """Reads `memos.dead` and closes the joins of the memos in it. It writes no letters: there are none for letters."""

    def __init__(self, rules: FusionRules, store: Store, deadlines: Deadlines, codec: Codec) -> None:
        self._rules, self._store, self._deadlines, self._codec = rules, store, deadlines, codec

    async def process(self, batch: Batch) -> None:
        """Take note of these dead letters. Raises Transient."""
        memos: dict[str, tuple[MemoUploaded, int]] = {}
        for source in batch.sources:
            found = self._memo(source)
            if found is not None:
                memo, attempt = found
                key = JOIN.key(memo.user_id, memo.memo_id)
                memos[key] = (memo, max(attempt, memos[key][1] if key in memos else 0))
        dead = await self._store.update(list(memos), self._dying(memos), ttl_s=self._rules.join_ttl_s)
        await self._deadlines.drop([key for key, is_dead in dead.items() if is_dead])

    def _memo(self, source: Source) -> tuple[MemoUploaded, int] | None:
        """The memo of a letter and its attempt; None for letters of other topics, and of records that are no memo."""
        try:
            letter = self._codec.decode(source.value, DeadLetter)
        except DecodeError as error:
            prometheus.RECORDS_FAILED.labels(stage=STAGE).inc()
            log.warning("a dead letter cannot be read and is passed over: %s", error)
            return None
        if letter.topic != topics.UPLOADED.name:
            return None
        try:
            return self._codec.decode(letter.value, MemoUploaded), redrives_of(letter.headers)
        except DecodeError:
            return None

    @staticmethod
    def _dying(memos: Mapping[str, tuple[MemoUploaded, int]]) -> Update[bool]:
        def die(key: str, state: bytes | None) -> tuple[bytes | None, bool]:
            join = fusion.die(state, *memos[key])
            return (None if join is None else join.to_bytes()), join is not None

        return die

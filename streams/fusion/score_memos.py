"""Scoring complete memos against their users' own baselines, exactly once under redelivery.

Scoring changes the baseline, so scoring a memo twice would give another number. Baseline and scores are therefore
written as one value by compare-and-set; a redelivered memo gets exactly its first score.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Poison
from schemas.events import RiskScored
from schemas.ids import score_id
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, EXCLUSIONS
from streams.context import exclusions
from streams.context.exclusions import left_out
from streams.drift.user_state import open_episode
from streams.fusion.baseline import OUTBOX, BaselineState, delivered, has_seen, load, scored, stored_score
from streams.fusion.join import Join
from streams.fusion.rules import FusionRules
from workers.kafka.record import Source
from workers.scoring.feature_space import Parts
from workers.scoring.scorer import Scored, Scorer
from workers.state.store import Store, Update


@dataclass(frozen=True, slots=True)
class Complete:
    """A join with all its parts, and the record that completed it."""

    join: Join
    parts: Parts
    cause: Source


@dataclass(frozen=True, slots=True)
class EncodedScore:
    """A score, and its bytes, stored until delivery."""

    record: RiskScored
    encoded: bytes


_OTHERS = (DRIFT.prefix, EXCLUSIONS.prefix)
"""Prefixes of values that are read with baselines and are none."""
Result: TypeAlias = EncodedScore | Poison | None
"""The outcome of a complete join; None when its score is known to have been delivered."""


class PersonalScores:
    """Scores memos, in the order given for each user. clock: the time now, aware."""

    def __init__(
        self, rules: FusionRules, scorer: Scorer, store: Store, codec: Codec, clock: Callable[[], datetime]
    ) -> None:
        self._rules, self._scorer, self._store, self._codec, self._clock = rules, scorer, store, codec, clock

    async def of(self, complete: Sequence[Complete]) -> list[Result]:
        """A result for each, in order; rescores users whose state another process changed. Raises Transient.

        At most OUTBOX memos of one user per call: `at_most_per_user`.
        """
        results: dict[tuple[str, str], Result] = {}
        pending = list(complete)
        while pending:
            users = list({each.join.user_id for each in pending})
            keys = [BASELINE.key(user) for user in users]
            read = partial(self._store.update, fn=self._opening(pending), ttl_s=self._rules.state_ttl_s)
            stored = await read([*keys, *map(DRIFT.key, users), *map(EXCLUSIONS.key, users)])
            current = {key: stored[key][0] for key in keys}
            before = {key: stored[key][1] for key in keys}
            if new := [user for user in users if current[BASELINE.key(user)] is None]:
                older = await read([BASELINE_0_1.key(user) for user in new])
                before |= {BASELINE.key(user): older[BASELINE_0_1.key(user)][1] for user in new}
            in_episode = {user for user in users if open_episode(stored[DRIFT.key(user)][0])}
            excluded = {user: exclusions.load(stored[EXCLUSIONS.key(user)][0]) for user in users}
            frozen = {
                each.join.identity
                for each in pending
                if each.join.user_id in in_episode or left_out(excluded[each.join.user_id], each.join.recorded_at)
            }
            after, fresh = await asyncio.to_thread(self._score_against, before, frozen, pending)
            unchanged = await self._store.update(
                keys,
                lambda key, state, current=current, after=after: (  # type: ignore[misc]
                    (after[key].to_bytes(), True) if state == current[key] else (None, False)
                ),
                ttl_s=self._rules.state_ttl_s,
            )
            results |= fresh
            pending = [each for each in pending if not unchanged[BASELINE.key(each.join.user_id)]]
        return [results[each.join.identity] for each in complete]

    def _opening(self, pending: Sequence[Complete]) -> Update[tuple[bytes | None, BaselineState]]:
        """Reads baselines, and the scores in them of these memos, and changes nothing.

        Drift states stay encoded: the drift agent sees to a damaged one.
        """
        bundle = self._scorer.bundle
        joins: dict[str, list[Join]] = defaultdict(list)
        for each in pending:
            for row in (BASELINE, BASELINE_0_1):
                joins[row.key(each.join.user_id)].append(each.join)

        def opened(key: str, data: bytes | None) -> tuple[None, tuple[bytes | None, BaselineState]]:
            if key.startswith(EXCLUSIONS.prefix):
                exclusions.load(data)  # raises UnreadableState
            state = load(None if key.startswith(_OTHERS) else data, bundle.id, len(bundle.names))
            for join in joins[key]:
                with BASELINE.decoding():
                    if (stored := stored_score(state, join.memo_id)) is not None:
                        score = self._codec.decode(stored, RiskScored)
                        if (score.user_id, score.memo_id) != join.identity:
                            raise ValueError("the score of another memo")
            return None, (data, state)

        return opened

    def _score_against(
        self, before: Mapping[str, BaselineState], frozen: Collection[tuple[str, str]], complete: Sequence[Complete]
    ) -> tuple[dict[str, BaselineState], dict[tuple[str, str], Result]]:
        """Score all memos, one per user and round; each round is one call of the head.

        frozen: memos that must not change their user's baseline: of users with an open alert, or left out by a mark.
        """
        states = dict(before)
        results: dict[tuple[str, str], Result] = {}
        for memos in at_most_per_user(complete, most=1):
            new = []
            for each in memos:
                state = states[BASELINE.key(each.join.user_id)]
                if has_seen(state, each.join.memo_id):
                    stored = stored_score(state, each.join.memo_id)
                    known = None if stored is None else EncodedScore(self._codec.decode(stored, RiskScored), stored)
                    results[each.join.identity] = known
                else:
                    new.append(each)
            normals = [states[BASELINE.key(each.join.user_id)].normal for each in new]
            outcomes = self._scorer.score([(e.parts, n) for e, n in zip(new, normals, strict=True)])
            for each, outcome in zip(new, outcomes, strict=True):
                if isinstance(outcome, Poison):
                    results[each.join.identity] = outcome
                    continue
                record = self._record(each, outcome)
                key = BASELINE.key(each.join.user_id)
                encoded = self._codec.encode(record, f"{topics.SCORED.name}-value")
                results[each.join.identity] = EncodedScore(record, encoded)
                states[key] = scored(
                    states[key], each.join.memo_id, encoded, outcome.vector, frozen=each.join.identity in frozen
                )
        return states, results

    def _record(self, each: Complete, outcome: Scored) -> RiskScored:
        bundle_id = self._scorer.bundle.id
        now = self._clock()
        return RiskScored(
            score_id=score_id(*each.join.identity, bundle_id, each.join.revision),
            memo_id=each.join.memo_id,
            user_id=each.join.user_id,
            recorded_at=each.join.recorded_at,
            uploaded_at=each.join.uploaded_at,
            scored_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
            probability=outcome.probability,
            band=outcome.band,
            reasons=outcome.reasons,
            evidence=outcome.evidence,
            modalities=tuple(m for m in self._rules.modalities if m in each.parts),
            bundle_id=bundle_id,
        )

    async def forget(self, joins: Sequence[Join]) -> None:
        """Drop the stored scores of these memos after delivery. Raises Transient."""
        bundle = self._scorer.bundle
        memos: dict[str, list[str]] = defaultdict(list)
        for join in joins:
            memos[BASELINE.key(join.user_id)].append(join.memo_id)

        def without(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            if state is None:
                return None, None
            return delivered(load(state, bundle.id, len(bundle.names)), memos[key]).to_bytes(), None

        await self._store.update(list(memos), without, ttl_s=self._rules.state_ttl_s)


def at_most_per_user(complete: Sequence[Complete], most: int = OUTBOX) -> Iterator[list[Complete]]:
    """The same memos, in order, in batches of at most `most` per user."""
    counts: dict[str, int] = defaultdict(int)
    batches: dict[int, list[Complete]] = defaultdict(list)
    for each in complete:
        batches[counts[each.join.user_id] // most].append(each)
        counts[each.join.user_id] += 1
    yield from (batches[index] for index in sorted(batches))

"""Scoring complete memos against their users' own baselines, each once, whatever is repeated.

Scoring changes the baseline, so scoring again would give another number. Baseline and scores are therefore written as
one value by compare-and-set; a memo that comes again gets the very score that was made the first time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Poison
from schemas.events import RiskScored
from schemas.ids import score_id
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT
from streams.drift.user_state import open_episode
from streams.fusion.baseline import OUTBOX, BaselineState, delivered, has_seen, load, scored, stored_score
from streams.fusion.join import Join
from streams.fusion.rules import FusionRules
from workers.kafka.record import Source
from workers.scoring.feature_space import Parts
from workers.scoring.scorer import Scored, Scorer
from workers.state.store import Store


@dataclass(frozen=True, slots=True)
class Complete:
    """A join with all its parts, and the record that completed it."""

    join: Join
    parts: Parts
    cause: Source


@dataclass(frozen=True, slots=True)
class Made:
    """A score, and the very bytes of it that are kept until it was delivered."""

    record: RiskScored
    encoded: bytes


Result: TypeAlias = Made | Poison | None
"""What a complete join leads to; None when its score is known to have been delivered."""


class PersonalScores:
    """Scores memos, in the order given for each user. clock: the time now, aware."""

    def __init__(
        self, rules: FusionRules, scorer: Scorer, store: Store, codec: Codec, clock: Callable[[], datetime]
    ) -> None:
        self._rules, self._scorer, self._store, self._codec, self._clock = rules, scorer, store, codec, clock

    async def of(self, complete: Sequence[Complete]) -> list[Result]:
        """A result for each, in order; what another process changed meanwhile is scored again. Raises Transient.

        No more than OUTBOX memos of one user at once: `at_most_per_user`.
        """
        results: dict[str, Result] = {}
        pending = list(complete)
        while pending:
            users = list({each.join.user_id for each in pending})
            keys = [BASELINE.key(user) for user in users]
            older = [BASELINE_0_1.key(user) for user in users]
            stored = await self._store.read([*keys, *older, *map(DRIFT.key, users)])
            held = {key: stored[key] for key in keys}
            before = {key: stored[key] or stored[old] for key, old in zip(keys, older, strict=True)}
            in_episode = {user for user in users if open_episode(stored[DRIFT.key(user)])}
            after, fresh = await asyncio.to_thread(self._score_against, before, in_episode, pending)
            unchanged = await self._store.update(
                keys,
                lambda key, state, held=held, after=after: (  # type: ignore[misc]
                    (after[key].to_bytes(), True) if state == held[key] else (None, False)
                ),
                ttl_s=self._rules.state_ttl_s,
            )
            results |= fresh
            pending = [each for each in pending if not unchanged[BASELINE.key(each.join.user_id)]]
        return [results[each.join.memo_id] for each in complete]

    def _score_against(
        self, before: Mapping[str, bytes | None], in_episode: Collection[str], complete: Sequence[Complete]
    ) -> tuple[dict[str, BaselineState], dict[str, Result]]:
        """Score everything, a user's memos one after the other: round by round, each round one call of the head.

        in_episode: users with an open alert, whose memos must not become their normal.
        """
        bundle = self._scorer.bundle
        states = {key: load(data, bundle.id, len(bundle.names)) for key, data in before.items()}
        results: dict[str, Result] = {}
        for turn in _rounds(complete):
            new = []
            for each in turn:
                state = states[BASELINE.key(each.join.user_id)]
                if has_seen(state, each.join.memo_id):
                    stored = stored_score(state, each.join.memo_id)
                    made = None if stored is None else Made(self._codec.decode(stored, RiskScored), stored)
                    results[each.join.memo_id] = made
                else:
                    new.append(each)
            normals = [states[BASELINE.key(each.join.user_id)].normal for each in new]
            outcomes = self._scorer.score([(e.parts, n) for e, n in zip(new, normals, strict=True)])
            for each, outcome in zip(new, outcomes, strict=True):
                if isinstance(outcome, Poison):
                    results[each.join.memo_id] = outcome
                    continue
                record = self._record(each, outcome)
                key = BASELINE.key(each.join.user_id)
                encoded = self._codec.encode(record, f"{topics.SCORED.name}-value")
                results[each.join.memo_id] = Made(record, encoded)
                frozen = each.join.user_id in in_episode
                states[key] = scored(states[key], each.join.memo_id, encoded, outcome.vector, frozen=frozen)
        return states, results

    def _record(self, each: Complete, outcome: Scored) -> RiskScored:
        bundle_id = self._scorer.bundle.id
        now = self._clock()
        return RiskScored(
            score_id=score_id(each.join.memo_id, bundle_id),
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
        """The scores of these memos have arrived: they are not kept for sending again. Raises Transient."""
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
    """The same memos in batches that hold at most `most` of any user, in order."""
    counts: dict[str, int] = defaultdict(int)
    batches: dict[int, list[Complete]] = defaultdict(list)
    for each in complete:
        batches[counts[each.join.user_id] // most].append(each)
        counts[each.join.user_id] += 1
    yield from (batches[index] for index in sorted(batches))


def _rounds(complete: Sequence[Complete]) -> Iterator[list[Complete]]:
    """The n-th memo of every user, for n = 1, 2 and so on."""
    turns: dict[str, int] = defaultdict(int)
    rounds: dict[int, list[Complete]] = defaultdict(list)
    for each in complete:
        rounds[turns[each.join.user_id]].append(each)
        turns[each.join.user_id] += 1
    yield from (rounds[turn] for turn in sorted(rounds))

"""The fusion hop: features in, one score a memo out, whatever is redelivered and whoever dies in between.

For a batch: add the parts to their joins; score the joins that are complete, each user's memos in order, against that
user's baseline; write the baselines together with the scores made from them; deliver; mark the joins settled. A crash
between any two steps repeats the batch, and the repetition finds what was done: a score that was made is sent again as
it was, never made anew.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import MemoFeatures, Modality, RiskScored
from schemas.ids import score_id
from schemas.settings import Settings
from streams import fusion
from streams.baseline import OUTBOX, BaselineState, baseline_key, delivered, has_seen, load, scored, stored_score
from streams.deadlines import Deadlines
from streams.follow import drift_key, episode_is_open
from streams.fusion import Join, join_key
from streams.store import Store
from workers import instruments
from workers.dead_letters import Source
from workers.delivery import Delivery, Outgoing
from workers.scoring.scorer import Scored, Scorer

STAGE = "fusion"
CLOSED_AT_ONCE = 500
"""Overdue joins that one tick of the timer closes."""

Parts: TypeAlias = Mapping[Modality, MemoFeatures]
Result: TypeAlias = RiskScored | Poison | None
"""What a complete join leads to; None when its score is known to have been delivered."""


@dataclass(frozen=True, slots=True)
class Complete:
    """A join with all its parts, and the record that completed it."""

    join: Join
    parts: Parts
    cause: Source


class FusionHop:
    """Joins, scores and delivers. clock: the time now, aware."""

    def __init__(
        self,
        settings: Settings,
        scorer: Scorer,
        store: Store,
        deadlines: Deadlines,
        delivery: Delivery,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._scorer, self._clock = settings, scorer, clock
        self._store, self._deadlines, self._delivery = store, deadlines, delivery
        self._codec: Codec = delivery.codec

    async def process(self, sources: Sequence[Source]) -> None:
        """Do everything that these records ask for; when it returns, all of it is delivered. Raises Transient."""
        instruments.RECORDS_IN.labels(stage=STAGE).inc(len(sources))
        parts, causes, failures = self._decoded(sources)
        instruments.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        joins = await self._joined(parts)
        complete = []
        waiting = {}
        for key, join in joins.items():
            if join.settled or join.closed_at:
                instruments.RECORDS_REPEATED.labels(stage=STAGE).inc()
            elif join.missing(self._settings.modalities):
                waiting[key] = self._clock() + timedelta(seconds=self._settings.join_timeout_s)
            else:
                complete.append(Complete(join, self._parts(join), causes[key]))
        await self._deadlines.put(waiting)
        await self._delivery.send(self._delivery.dead_letters(failures))
        complete.sort(key=lambda each: each.join.recorded_at)
        for several in _at_most_per_user(complete, OUTBOX):
            await self._finish(several)

    async def close_overdue(self) -> int:
        """Give up the joins that stayed open too long: an indeterminate score each. How many were closed."""
        now = self._clock()
        keys = await self._deadlines.due(now, CLOSED_AT_ONCE)
        closed = await self._store.update(keys, lambda _, state: self._closing(state, now), ttl_s=self._ttl_s)
        records = [
            fusion.incomplete(join, self._settings.modalities, self._scorer.bundle.id)
            for join in closed.values()
            if join is not None
        ]
        nowhere = Source(topics.FEATURES.name, -1, -1, None, None)
        await self._delivery.send([_outgoing(record, nowhere) for record in records])
        for record in records:
            _count(record)
            for reason in record.reasons:
                instruments.JOINS_TIMED_OUT.labels(modality=reason.removeprefix("missing:")).inc()
        await self._settle(keys)
        await self._observe_joins(now)
        return len(records)

    async def _observe_joins(self, now: datetime) -> None:
        instruments.JOINS_OPEN.set(await self._deadlines.count())
        due = await self._deadlines.earliest()
        timeout = timedelta(seconds=self._settings.join_timeout_s)
        instruments.JOIN_OLDEST.set(0.0 if due is None else max((now - due + timeout).total_seconds(), 0.0))

    # Joining

    @property
    def _ttl_s(self) -> float:
        return self._settings.join_ttl_s

    def _decoded(
        self, sources: Sequence[Source]
    ) -> tuple[dict[str, list[tuple[MemoFeatures, bytes]]], dict[str, Source], list[tuple[Source, Poison]]]:
        parts: dict[str, list[tuple[MemoFeatures, bytes]]] = defaultdict(list)
        causes, failures = {}, []
        for source in sources:
            try:
                features = self._codec.decode(source.value, MemoFeatures)
            except DecodeError as error:
                failures.append((source, Poison("event:undecodable", str(error))))
                continue
            key = join_key(features.user_id, features.memo_id)
            parts[key].append((features, source.value or b""))
            causes[key] = source
        return parts, causes, failures

    async def _joined(self, parts: Mapping[str, list[tuple[MemoFeatures, bytes]]]) -> dict[str, Join]:
        def add(key: str, state: bytes | None) -> tuple[bytes | None, Join]:
            join = fusion.add_parts(state, parts[key])
            encoded = join.to_bytes()
            return (None if encoded == state else encoded), join

        return await self._store.update(list(parts), add, ttl_s=self._ttl_s)

    def _parts(self, join: Join) -> Parts:
        return {modality: self._codec.decode(part, MemoFeatures) for modality, part in join.parts.items()}

    def _closing(self, state: bytes | None, now: datetime) -> tuple[bytes | None, Join | None]:
        join = fusion.close(state, self._settings.modalities, now)
        return (None if join is None else join.to_bytes()), join

    # Scoring and delivering

    async def _finish(self, complete: Sequence[Complete]) -> None:
        results = await self._scored(complete)
        failures = [(each.cause, r) for each, r in zip(complete, results, strict=True) if isinstance(r, Poison)]
        instruments.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        made = [(each, r) for each, r in zip(complete, results, strict=True) if isinstance(r, RiskScored)]
        outgoing = [_outgoing(record, each.cause) for each, record in made]
        await self._delivery.send(outgoing + self._delivery.dead_letters(failures))
        for _, record in made:
            _count(record)
            instruments.observe_latency(STAGE, record.recorded_at, record.uploaded_at, self._clock().timestamp())
        memos: dict[str, list[str]] = defaultdict(list)
        for each in complete:
            memos[baseline_key(each.join.user_id)].append(each.join.memo_id)
        keys = [join_key(each.join.user_id, each.join.memo_id) for each in complete]
        await asyncio.gather(
            self._settle(keys),
            self._store.update(list(memos), self._forget(memos), ttl_s=self._settings.state_ttl_s),
        )

    async def _scored(self, complete: Sequence[Complete]) -> list[Result]:
        """A result for each, in order; what another process changed meanwhile is scored again."""
        results: dict[str, Result] = {}
        pending = list(complete)
        while pending:
            keys = list({baseline_key(each.join.user_id) for each in pending})
            users = {each.join.user_id for each in pending}
            stored = await self._store.read([*keys, *map(drift_key, users)])
            before = {key: stored[key] for key in keys}
            ill = {user for user in users if episode_is_open(stored[drift_key(user)])}
            after, fresh = await asyncio.to_thread(self._score_against, before, ill, pending)
            unchanged = await self._store.update(
                keys,
                lambda key, state, before=before, after=after: (  # type: ignore[misc]
                    (after[key].to_bytes(), True) if state == before[key] else (None, False)
                ),
                ttl_s=self._settings.state_ttl_s,
            )
            results |= fresh
            pending = [each for each in pending if not unchanged[baseline_key(each.join.user_id)]]
        return [results[each.join.memo_id] for each in complete]

    def _score_against(
        self, before: Mapping[str, bytes | None], ill: Collection[str], complete: Sequence[Complete]
    ) -> tuple[dict[str, BaselineState], dict[str, Result]]:
        """Score everything, a user's memos one after the other: round by round, each round one call of the head.

        ill: users with an open alert, whose memos must not become their normal.
        """
        bundle = self._scorer.bundle
        states = {key: load(data, bundle.id, len(bundle.names)) for key, data in before.items()}
        results: dict[str, Result] = {}
        for turn in _rounds(complete):
            new = []
            for each in turn:
                state = states[baseline_key(each.join.user_id)]
                if has_seen(state, each.join.memo_id):
                    stored = stored_score(state, each.join.memo_id)
                    results[each.join.memo_id] = None if stored is None else self._codec.decode(stored, RiskScored)
                else:
                    new.append(each)
            normals = [states[baseline_key(each.join.user_id)].normal for each in new]
            outcomes = self._scorer.score([(e.parts, n) for e, n in zip(new, normals, strict=True)])
            for each, outcome in zip(new, outcomes, strict=True):
                if isinstance(outcome, Poison):
                    results[each.join.memo_id] = outcome
                    continue
                record = self._record(each, outcome)
                results[each.join.memo_id] = record
                key = baseline_key(each.join.user_id)
                encoded = self._codec.encode(record, f"{topics.SCORED.name}-value")
                frozen = each.join.user_id in ill
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
            modalities=tuple(m for m in self._settings.modalities if m in each.parts),
            bundle_id=bundle_id,
        )

    async def _settle(self, keys: Sequence[str]) -> None:
        def settled(_: str, state: bytes | None) -> tuple[bytes | None, None]:
            join = fusion.settle(state)
            return (None if join is None else join.to_bytes()), None

        await self._store.update(keys, settled, ttl_s=self._ttl_s)
        await self._deadlines.drop(keys)

    def _forget(self, memos: Mapping[str, Sequence[str]]) -> Callable[[str, bytes | None], tuple[bytes | None, None]]:
        bundle = self._scorer.bundle

        def forget(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            if state is None:
                return None, None
            return delivered(load(state, bundle.id, len(bundle.names)), memos[key]).to_bytes(), None

        return forget


def _outgoing(record: RiskScored, cause: Source) -> Outgoing:
    return Outgoing(topics.SCORED, record.user_id.encode(), record, cause)


def _count(record: RiskScored) -> None:
    instruments.RECORDS_OUT.labels(stage=STAGE).inc()
    instruments.SCORES.labels(band=record.band, bundle=record.bundle_id).inc()
    for reason in record.reasons:
        instruments.INDETERMINATE.labels(reason=reason).inc()
    if record.probability is not None:
        instruments.PROBABILITY.labels(bundle=record.bundle_id).observe(record.probability)


def _rounds(complete: Sequence[Complete]) -> Iterator[list[Complete]]:
    """The n-th memo of every user, for n = 1, 2 and so on."""
    turns: dict[str, int] = defaultdict(int)
    rounds: dict[int, list[Complete]] = defaultdict(list)
    for each in complete:
        rounds[turns[each.join.user_id]].append(each)
        turns[each.join.user_id] += 1
    yield from (rounds[turn] for turn in sorted(rounds))


def _at_most_per_user(complete: Sequence[Complete], most: int) -> Iterator[list[Complete]]:
    """The same memos in batches that hold at most `most` of any user, in order."""
    counts: dict[str, int] = defaultdict(int)
    batches: dict[int, list[Complete]] = defaultdict(list)
    for each in complete:
        batches[counts[each.join.user_id] // most].append(each)
        counts[each.join.user_id] += 1
    yield from (batches[index] for index in sorted(batches))

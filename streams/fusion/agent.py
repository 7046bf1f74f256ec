"""The fusion hop: features in, one score a memo out, whatever is redelivered and whoever dies in between.

For a batch: add the parts to their joins; score the joins that are complete, each user's memos in order, against that
user's baseline; write the baselines together with the scores made from them; deliver; mark the joins settled. A crash
between any two steps repeats the batch, and the repetition finds what was done: a score that was made is sent again as
it was, never made anew.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.errors import Poison
from schemas.events import MemoFeatures, RiskScored
from schemas.redrive_headers import redrives_of
from schemas.state_keys import JOIN
from streams.fusion import join as fusion
from streams.fusion.join import Join
from streams.fusion.rules import FusionRules
from streams.fusion.score_memos import Complete, Made, PersonalScores, Result, at_most_per_user
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Batch, Source
from workers.scoring.feature_space import Parts
from workers.scoring.scorer import Scorer
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store

STAGE = "fusion"
CLOSED_AT_ONCE = 500
"""Overdue joins that are looked at together."""
CLOSING_WITHIN = timedelta(seconds=30)
"""A join that one process is giving up is left alone by the others for so long; then that process must have died."""


class FusionAgent:
    """Joins, scores and delivers. cap: on memos that cannot be scored; clock: the time now, aware."""

    def __init__(
        self,
        rules: FusionRules,
        scorer: Scorer,
        store: Store,
        deadlines: Deadlines,
        delivery: Delivery,
        cap: DeadLetterCap,
        clock: Callable[[], datetime],
    ) -> None:
        self._rules, self._scorer, self._cap, self._clock = rules, scorer, cap, clock
        self._store, self._deadlines, self._delivery = store, deadlines, delivery
        self._codec: Codec = delivery.codec
        self._scores = PersonalScores(rules, scorer, store, delivery.codec, clock)

    async def process(self, batch: Batch) -> None:
        """Do everything that these records ask for; when it returns, all of it is delivered. Raises Transient.

        Raises DeadLetterCapReached when too many memos cannot be scored. `batch.results` holds a `Complete` and its
        `Result` by the key of each join that was scored: it is scored once, however often the batch is tried.
        """
        parts, causes, failures = self._decoded(batch.sources)
        prometheus.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        joins = await self._joined(parts, causes)
        complete, waiting = [], []
        for key, join in joins.items():
            if key in batch.results:
                complete.append(batch.results[key][0])
            elif join.decided:
                prometheus.RECORDS_REPEATED.labels(stage=STAGE).inc()
            elif join.missing(self._rules.modalities):
                waiting.append(key)
            else:
                complete.append(Complete(join, self._parts(join, parts[key]), causes[key]))
        await self._wait_for_others(waiting)
        await self._delivery.send(self._delivery.dead_letters(failures))
        complete.sort(key=lambda each: each.join.recorded_at)
        for several in at_most_per_user(complete):
            await self._finish(several, batch.results)

    async def close_overdue(self) -> int:
        """Give up the joins that stayed open too long: an indeterminate score each. How many were looked at."""
        now = await self._deadlines.now()
        keys = await self._deadlines.due(now, CLOSED_AT_ONCE)
        looked_at = await self._store.update(keys, lambda _, state: self._closing(state, now), ttl_s=self._ttl_s)
        closed = {key: join for key, (join, _) in looked_at.items() if join is not None}
        given_up = list(closed.values())
        records = [fusion.incomplete(join, self._rules.modalities, self._scorer.bundle.id) for join in given_up]
        causes = [
            Source(topics.FEATURES.name, -1, -1, None, None, {"traceparent": join.trace} if join.trace else {})
            for join in given_up
        ]
        await self._delivery.send([_outgoing(*pair) for pair in zip(records, causes, strict=True)])
        _count(records)
        for record in records:
            for reason in record.reasons:
                prometheus.JOINS_TIMED_OUT.labels(modality=reason.removeprefix("missing:")).inc()
        await self._settle(closed)
        await self._deadlines.drop([key for key, (_, is_over) in looked_at.items() if is_over])
        await self._observe_joins(now)
        return len(keys)

    async def _observe_joins(self, now: datetime) -> None:
        prometheus.JOINS_OPEN.set(await self._deadlines.count())
        due = await self._deadlines.earliest()
        timeout = self._rules.join_timeout
        prometheus.JOIN_OLDEST.set(0.0 if due is None else max((now - due + timeout).total_seconds(), 0.0))

    # Joining

    @property
    def _ttl_s(self) -> float:
        return self._rules.join_ttl_s

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
            key = JOIN.key(features.user_id, features.memo_id)
            parts[key].append((features, source.value or b""))
            causes[key] = source
        return parts, causes, failures

    async def _joined(
        self, parts: Mapping[str, list[tuple[MemoFeatures, bytes]]], causes: Mapping[str, Source]
    ) -> dict[str, Join]:
        def add(key: str, state: bytes | None) -> tuple[bytes | None, Join]:
            headers = causes[key].headers
            join = fusion.add_parts(state, parts[key], redrives_of(headers), headers.get("traceparent") or b"")
            if state is None and not join.missing(self._rules.modalities):
                return None, join  # all parts are in this batch: if it is interrupted, they come again together
            encoded = join.to_bytes()
            return (None if encoded == state else encoded), join

        return await self._store.update(list(parts), add, ttl_s=self._ttl_s)

    async def _wait_for_others(self, keys: Sequence[str]) -> None:
        if keys:
            due = await self._deadlines.now() + self._rules.join_timeout
            await self._deadlines.put(dict.fromkeys(keys, due))

    def _parts(self, join: Join, here: Sequence[tuple[MemoFeatures, bytes]]) -> Parts:
        """The parts of a join; those that came in this batch are decoded already."""
        decoded = {encoded: features for features, encoded in here}
        return {m: decoded.get(part) or self._codec.decode(part, MemoFeatures) for m, part in join.parts.items()}

    def _closing(self, state: bytes | None, now: datetime) -> tuple[bytes | None, tuple[Join | None, bool]]:
        """The join if it is this process's to give up now; and whether its deadline has done its duty."""
        join = fusion.close(state, self._rules.modalities, now)
        if join is None or state is None:
            # One that is complete keeps its deadline until it was scored.
            return None, (None, state is None or Join.from_bytes(state).decided)
        taken_at = Join.from_bytes(state).closed_at
        if taken_at is not None and now - taken_at < CLOSING_WITHIN:
            return None, (None, False)
        return join.to_bytes(), (join, True)

    # Scoring and delivering

    async def _finish(self, complete: Sequence[Complete], made: dict[str, tuple[Complete, Result]]) -> None:
        new = [each for each in complete if _key(each.join) not in made]
        for each, result in zip(new, await self._scores.of(new), strict=True):
            # The bundle may be the wrong one: then nothing more becomes a dead letter, and nothing is committed.
            self._cap.record(poisoned=isinstance(result, Poison))
            made[_key(each.join)] = (each, result)
        results = [made[_key(each.join)][1] for each in complete]
        failures = [(each.cause, r) for each, r in zip(complete, results, strict=True) if isinstance(r, Poison)]
        prometheus.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        scores = [(each, r) for each, r in zip(complete, results, strict=True) if isinstance(r, Made)]
        outgoing = [_outgoing(score.record, each.cause, score.encoded) for each, score in scores]
        await self._delivery.send(outgoing + self._delivery.dead_letters(failures))
        _count([score.record for _, score in scores])
        now = self._clock().timestamp()
        for _, score in scores:
            prometheus.observe_latency(STAGE, score.record.recorded_at, score.record.uploaded_at, now)
        dead = {_key(e.join): e.join for e, r in zip(complete, results, strict=True) if isinstance(r, Poison)}
        done = {_key(each.join): each.join for each in complete if _key(each.join) not in dead}
        await asyncio.gather(
            self._settle(done),
            self._bury(dead),
            self._scores.forget([each.join for each in complete]),
        )

    async def _settle(self, joins: Mapping[str, Join]) -> None:
        """The scores of these joins were delivered."""

        def settled(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            if state is not None and Join.from_bytes(state).attempt > joins[key].attempt:
                return None, None  # redriven since
            return (fusion.settle(state) or replace(joins[key], settled=True)).to_bytes(), None

        await self._store.update(list(joins), settled, ttl_s=self._ttl_s)
        await self._deadlines.drop(list(joins))

    async def _bury(self, joins: Mapping[str, Join]) -> None:
        """The dead letters of these joins were delivered."""

        def buried(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            join = fusion.bury(joins[key].to_bytes() if state is None else state)
            return (None if join is None else join.to_bytes()), None

        await self._store.update(list(joins), buried, ttl_s=self._ttl_s)
        await self._deadlines.drop(list(joins))


def _key(join: Join) -> str:
    return JOIN.key(join.user_id, join.memo_id)


def _outgoing(record: RiskScored, cause: Source, encoded: bytes | None = None) -> Outgoing:
    return Outgoing(topics.SCORED, record.user_id.encode(), record, cause, encoded)


def _count(records: Sequence[RiskScored]) -> None:
    prometheus.RECORDS_OUT.labels(stage=STAGE).inc(len(records))
    for (band, bundle), count in Counter((record.band, record.bundle_id) for record in records).items():
        prometheus.SCORES.labels(band=band, bundle=bundle).inc(count)
    for reason, count in Counter(reason for record in records for reason in record.reasons).items():
        prometheus.INDETERMINATE.labels(reason=reason).inc(count)
    for record in records:
        if record.probability is not None:
            prometheus.PROBABILITY.labels(bundle=record.bundle_id).observe(record.probability)

"""Exactly one score per memo under redelivery and crashes.

For a batch: add the parts to their joins; score the complete joins, each user's memos in order, against that user's
baseline; write baselines together with their new scores; deliver; mark the joins settled. After a crash between any two
steps the batch is reprocessed (idempotent): an existing score is resent unchanged, never recomputed.
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
from schemas.pipeline import FUSION
from schemas.reasons import label_of
from schemas.redrive_headers import redrives_of, revision_of
from schemas.state_keys import JOIN
from streams.fusion import join as fusion
from streams.fusion.join import Join
from streams.fusion.rules import FusionRules
from streams.fusion.score_memos import Complete, EncodedScore, PersonalScores, Result, at_most_per_user
from workers.consumer.isolation import isolated
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Batch, Source
from workers.scoring.feature_space import Parts
from workers.scoring.scorer import Scorer
from workers.service import prometheus
from workers.state.deadlines import Deadlines
from workers.state.store import Store

STAGE = FUSION.name
CLOSED_AT_ONCE = 500
"""Batch size of overdue joins."""
CLOCKS_APART = timedelta(minutes=1)
"""How far a due time may lie beyond the timeout, because another process took Redis's time a little later."""
CLOSING_WITHIN = timedelta(seconds=30)
"""While one process closes a join, others skip it for this long; after that, the process is presumed dead."""


class FusionAgent:
    """Joins, scores and delivers. cap: limits memos that cannot be scored; clock: the time now, aware.

    behind_s: all memos uploaded at least so many seconds ago are passed by all workers; None while that is unknown.
    """

    def __init__(
        self,
        rules: FusionRules,
        scorer: Scorer,
        store: Store,
        deadlines: Deadlines,
        delivery: Delivery,
        cap: DeadLetterCap,
        clock: Callable[[], datetime],
        behind_s: Callable[[], float | None] = lambda: 0.0,
    ) -> None:
        self._behind_s = behind_s
        self._rules, self._scorer, self._cap, self._clock = rules, scorer, cap, clock
        self._store, self._deadlines, self._delivery = store, deadlines, delivery
        self._codec: Codec = delivery.codec
        self._scores = PersonalScores(rules, scorer, store, delivery.codec, clock)

    async def process(self, batch: Batch) -> None:
        """Process these records and return when all results are delivered. Raises Transient.

        Raises DeadLetterCapReached when too many memos cannot be scored. `batch.results` holds a `Complete` and its
        `Result` by the key of each scored join: it is scored once, however often the batch is retried.
        """
        parts, causes, failures = self._decoded(batch.sources)
        prometheus.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        complete, waiting = [], []
        for key, (join, decoded) in (await self._joined(parts, causes)).items():
            if key in batch.results:
                complete.append(batch.results[key][0])
            elif join.decided:
                prometheus.RECORDS_REPEATED.labels(stage=STAGE).inc()
            elif join.missing(self._rules.modalities):
                waiting.append(key)
            else:
                complete.append(Complete(join, decoded, causes[key]))
        await self._wait_for_others(waiting)
        await self._delivery.send(self._delivery.dead_letters(failures))
        complete.sort(key=lambda each: each.join.recorded_at)
        for several in at_most_per_user(complete):
            await self._finish(several, batch.results)

    async def close_overdue(self) -> int:
        """Close overdue joins, with an indeterminate score each; returns how many were checked.

        A join is overdue after the timeout and once all workers have passed its memo, at the latest after `give_up`.
        """
        now = await self._deadlines.now()
        await self._deadlines.bring_back(now + self._rules.join_timeout + CLOCKS_APART, CLOSED_AT_ONCE)
        keys = await self._deadlines.due(now - self._rules.wait(self._behind_s()), CLOSED_AT_ONCE)
        failed = await isolated(lambda part: self._close(part, now), keys, STAGE) if keys else []
        if failed:  # A join that the program fails on is tried again later, behind all others.
            await self._deadlines.drop([key for key, _ in failed])
            await self._deadlines.put({key: now + self._rules.join_timeout for key, _ in failed})
        await self._observe_joins(now)
        return len(keys)

    async def _close(self, keys: Sequence[str], now: datetime) -> None:
        joins = [key for key in keys if key.startswith(JOIN.prefix)]
        checked = await self._store.update(
            joins, lambda key, state: self._closing(key, state, now), ttl_s=self._rules.join_ttl_s
        )
        closed = {key: join for key, (join, _) in checked.items() if join is not None}
        timed_out = list(closed.values())
        records = [fusion.incomplete(join, self._rules.modalities, self._scorer.bundle.id) for join in timed_out]
        causes = [
            Source(topics.FEATURES.name, -1, -1, None, None, {"traceparent": join.trace} if join.trace else {})
            for join in timed_out
        ]
        await self._delivery.send([_outgoing(*pair) for pair in zip(records, causes, strict=True)])
        count_scores(records)
        for join in timed_out:
            for modality in join.missing(self._rules.modalities):
                prometheus.JOINS_TIMED_OUT.labels(modality=modality).inc()
        await self._settle(closed)
        # What names no join can never be closed, and would be the first of every search.
        await self._deadlines.drop([key for key in keys if key not in checked or checked[key][1]])

    async def _observe_joins(self, now: datetime) -> None:
        prometheus.JOINS_OPEN.set(await self._deadlines.count())
        due = await self._deadlines.earliest()
        timeout = self._rules.join_timeout
        prometheus.JOIN_OLDEST.set(0.0 if due is None else max((now - due + timeout).total_seconds(), 0.0))

    # Joining

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
    ) -> dict[str, tuple[Join, Parts]]:
        """The joins with these parts added; and all parts of those that are complete, decoded."""

        def add(key: str, state: bytes | None) -> tuple[bytes | None, tuple[Join, Parts]]:
            headers = causes[key].headers
            trace = headers.get("traceparent") or b""
            known = fusion.stored(key, state)
            join = fusion.add_parts(known, parts[key], redrives_of(headers), trace, revision_of(headers))
            join = fusion.add_late_parts(join, parts[key], self._rules.modalities)
            complete = not (join.decided or join.missing(self._rules.modalities))
            decoded = self._parts(join, parts[key]) if complete else {}
            if state is None and not join.missing(self._rules.modalities):
                # All parts are in this batch: after a crash they are redelivered together.
                return None, (join, decoded)
            encoded = join.to_bytes()
            return (None if encoded == state else encoded), (join, decoded)

        return await self._store.update(list(parts), add, ttl_s=self._rules.join_ttl_s)

    async def _wait_for_others(self, keys: Sequence[str]) -> None:
        if keys:
            due = await self._deadlines.now() + self._rules.join_timeout
            await self._deadlines.put(dict.fromkeys(keys, due))

    def _parts(self, join: Join, here: Sequence[tuple[MemoFeatures, bytes]]) -> Parts:
        """The parts of a join; those of this batch are already decoded. Raises UnreadableState for stored ones."""
        decoded = {encoded: features for features, encoded in here}
        with JOIN.decoding():
            parts = {m: decoded.get(part) or self._codec.decode(part, MemoFeatures) for m, part in join.parts.items()}
            if any((m, each.user_id, each.memo_id) != (each.modality, *join.identity) for m, each in parts.items()):
                raise ValueError("parts of another memo")
            return parts

    def _closing(self, key: str, state: bytes | None, now: datetime) -> tuple[bytes | None, tuple[Join | None, bool]]:
        """The join if this process closes it now; and whether its deadline is no longer needed."""
        join = fusion.stored(key, state)
        closed = fusion.close(join, self._rules.modalities, now)
        if join is None or closed is None:
            # A complete join keeps its deadline until it is scored.
            return None, (None, join is None or join.decided)
        if join.closed_at is not None and abs(now - join.closed_at) < CLOSING_WITHIN:
            return None, (None, False)
        return closed.to_bytes(), (closed, True)

    # Scoring and delivering

    async def _finish(self, complete: Sequence[Complete], computed: dict[str, tuple[Complete, Result]]) -> None:
        new = [each for each in complete if _key(each.join) not in computed]
        for each, result in zip(new, await self._scores.of(new), strict=True):
            # The bundle may be wrong: the cap then stops the process, without more dead letters or a commit.
            self._cap.record(isinstance(result, Poison), each.join.user_id)
            computed[_key(each.join)] = (each, result)
        results = [computed[_key(each.join)][1] for each in complete]
        failures = [(each.cause, r) for each, r in zip(complete, results, strict=True) if isinstance(r, Poison)]
        prometheus.RECORDS_FAILED.labels(stage=STAGE).inc(len(failures))
        scores = [(each, r) for each, r in zip(complete, results, strict=True) if isinstance(r, EncodedScore)]
        outgoing = [_outgoing(score.record, each.cause, score.encoded) for each, score in scores]
        await self._delivery.send(outgoing + self._delivery.dead_letters(failures))
        count_scores([score.record for _, score in scores])
        now = self._clock().timestamp()
        for _, score in scores:
            prometheus.observe_latency(STAGE, score.record.recorded_at, score.record.uploaded_at, now)
        dead = {_key(e.join): e.join for e, r in zip(complete, results, strict=True) if isinstance(r, Poison)}
        done = {_key(each.join): each.join for each in complete if _key(each.join) not in dead}
        await asyncio.gather(
            self._settle(done),
            self._mark_unscorable(dead),
            self._scores.forget([each.join for each in complete]),
        )

    async def _settle(self, joins: Mapping[str, Join]) -> None:
        """Mark these joins settled after their scores were delivered."""

        def settled(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            join, ours = fusion.stored(key, state), joins[key]
            if join and (join.attempt > ours.attempt or join.closed_at != ours.closed_at):
                return None, None  # redriven since, or completed after it was given up
            return replace(join or ours, settled=True).to_bytes(), None

        await self._store.update(list(joins), settled, ttl_s=self._rules.join_ttl_s)
        await self._deadlines.drop(list(joins))

    async def _mark_unscorable(self, joins: Mapping[str, Join]) -> None:
        """Mark these joins dead after their dead letters were delivered."""

        def unscorable(key: str, state: bytes | None) -> tuple[bytes | None, None]:
            join = fusion.mark_unscorable(fusion.stored(key, state) or joins[key])
            return (None if join is None else join.to_bytes()), None

        await self._store.update(list(joins), unscorable, ttl_s=self._rules.join_ttl_s)
        await self._deadlines.drop(list(joins))


def _key(join: Join) -> str:
    return JOIN.key(join.user_id, join.memo_id)


def _outgoing(record: RiskScored, cause: Source, encoded: bytes | None = None) -> Outgoing:
    return Outgoing(topics.SCORED, record.user_id.encode(), record, cause, encoded)


def count_scores(records: Sequence[RiskScored]) -> None:
    """Count delivered scores, their bands, probabilities and reasons."""
    prometheus.RECORDS_OUT.labels(stage=STAGE).inc(len(records))
    for (band, bundle), count in Counter((record.band, record.bundle_id) for record in records).items():
        prometheus.SCORES.labels(band=band, bundle=bundle).inc(count)
    for reason, count in Counter(label_of(reason) for record in records for reason in record.reasons).items():
        prometheus.INDETERMINATE.labels(reason=reason).inc(count)
    for record in records:
        if record.probability is not None:
            prometheus.PROBABILITY.labels(bundle=record.bundle_id).observe(record.probability)

"""`undertone agents`: fusion, drift and dead letters in one Faust application, and the tasks that run with them."""

import asyncio
import gc
import logging
import os
from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from schemas.codec import Codec
from schemas.errors import Transient
from schemas.pipeline import DEAD_LETTERS, DRIFT, FUSION, feature_stages
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from schemas.state_keys import SILENCES
from streams.agents.agent_loop import Agent
from streams.agents.faust_app import reading
from streams.agents.isolated_agent import Failures, IsolatedAgent
from streams.agents.lag_exporter import LagExporter, Measured, Stalls
from streams.audit.settings import keys_of
from streams.drift.agent import DriftAgent, with_prior
from streams.drift.rules import Rules
from streams.drift.silence_watch import AT_ONCE as SILENCES_AT_ONCE
from streams.drift.silence_watch import SilenceWatch
from streams.fusion.agent import CLOSED_AT_ONCE, FusionAgent
from streams.fusion.dead_letter_agent import DeadLetterAgent
from streams.fusion.rules import FusionRules
from streams.fusion.stage_progress import ScoresRead, StageProgress
from streams.recovery.resubmit import Reconciler
from streams.roles.directory_witness import DirectoryWitness
from streams.roles.lifecycle import model_loading, run_with_health
from streams.roles.start_events import start_recorded
from workers.consumer.consents import Consents, open_consents
from workers.kafka.authorization_errors import refusals_stop
from workers.kafka.clients import make_producer
from workers.kafka.connect import started, stopped
from workers.kafka.dead_letters import DeadLetterCap
from workers.kafka.producer import Delivery
from workers.kafka.record import about
from workers.scoring.bundle import Bundle
from workers.scoring.scorer import Scorer
from workers.service import prometheus
from workers.service.health import HEALTH
from workers.service.retry import retry_transient
from workers.service.shutdown import SHUTDOWN
from workers.state.open_store import open_deadlines, open_store, take_over
from workers.state.store import Store

log = logging.getLogger(__name__)

CLOSE_EVERY_S = 2.0
"""Seconds between two searches for joins past their timeout."""
TAKE_OVER_EVERY_S = 86_400.0
"""Seconds between two searches for state that is not written as the settings say."""
LOOK_EVERY_S = 60.0
"""Seconds between two looks at silent users."""


async def run_agents(settings: Settings, stop: asyncio.Event) -> None:
    """Run all agents until `stop` is set.

    Raises what ended them; BrokerRefused and StoreRefused for a missing permission, ConfigurationError for a bundle or
    rules that cannot be used.
    """

    async def work() -> None:
        with model_loading():
            scorer = Scorer(await asyncio.to_thread(Bundle.load, settings.bundle))
        if missing := scorer.bundle.left_out(settings.modalities):
            log.warning("every score will be indeterminate: UNDERTONE_MODALITIES leaves out %s", ", ".join(missing))
        await _run_agents(settings, make_codec(settings), scorer, stop)

    HEALTH.lacks("redis", "not checked yet")
    await run_with_health(settings, stop, "agents", work)


async def _run_agents(settings: Settings, codec: Codec, scorer: Scorer, stop: asyncio.Event) -> None:
    """Run the agents until `stop` is set. Raises what made an agent give up, and ConfigurationError at the start."""
    rules = Rules.from_settings(settings)  # budgets outside the shipped table are refused before anything is read
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(start_recorded(settings, "agents", keys_of, scorer.bundle.id))
        store = await retry_transient(
            lambda: exits.enter_async_context(open_store(settings)), stage="agents", target="keys"
        )
        deadlines = await exits.enter_async_context(open_deadlines(settings))
        producer = await started(lambda: make_producer(settings), settings, stage="agents")
        exits.push_async_callback(stopped, producer)
        joins, cap = FusionRules.from_settings(settings), DeadLetterCap.of(settings)
        workers = [stage.name for stage in feature_stages(settings.modalities)]
        progress = StageProgress(workers, (FUSION.name, DEAD_LETTERS.name))
        scores, alerts = (Delivery(producer, codec, stage.name) for stage in (FUSION, DRIFT))
        fusion = FusionAgent(joins, scorer, store, deadlines, scores, cap, _now, progress.behind_s)
        # Each batch reads it again; this read finds a Redis that denies access before anything is consumed.
        await retry_transient(lambda: with_prior(rules, store), stage=DRIFT.name, target="redis")
        silences = await exits.enter_async_context(open_deadlines(settings, SILENCES))
        drift = DriftAgent(rules, settings.state_ttl_s, store, alerts, _now, silences)
        consents = await exits.enter_async_context(open_consents(settings, codec))
        scores_read = ScoresRead(progress, DRIFT.name)
        watch = SilenceWatch(
            rules,
            settings.state_ttl_s,
            store,
            silences,
            drift.publish,
            scorer.bundle.id,
            lambda: _with_open_joins(scores_read.behind_s(), settings),
            partial(_refused, consents),
        )
        letters = DeadLetterAgent(joins, store, deadlines, codec, watch.hear)
        agents: dict[str, Agent] = {
            FUSION.name: _isolated(fusion, settings, scores),
            DRIFT.name: _isolated(drift, settings, alerts),
            DEAD_LETTERS.name: IsolatedAgent(letters, DEAD_LETTERS.name, DeadLetterCap.of(settings), _skip),
        }
        async with reading(settings, agents) as (app, failed):
            stalls = Stalls(agents, app.consumer.assignment)

            def look(measured: Measured, began: float) -> None:
                progress.look(measured, began)
                scores_read.look(measured)
                stalls.look(measured)

            tasks = [
                asyncio.create_task(_close_joins(fusion)),
                asyncio.create_task(_watch_silence(watch)),
                asyncio.create_task(_take_over(store, settings)),
                asyncio.create_task(DirectoryWitness(settings, store).run()),
                asyncio.create_task(LagExporter(settings, look).run()),
                asyncio.create_task(Reconciler(settings, store, deadlines, producer, codec).run()),
            ]
            for task in tasks:
                exits.callback(task.cancel)
            prometheus.BUNDLE.labels(bundle=scorer.bundle.id).set(1)
            gc.collect()
            gc.freeze()  # Objects from the start stay: the collector need not scan them again.
            traits = {"device": f"CPU, {os.cpu_count()} cores", "modalities": ",".join(settings.modalities)}
            log.info("agents: ready", extra={**traits, "bundle": scorer.bundle.id})
            await _first_of(stop, failed, *tasks)


def _isolated(agent: Agent, settings: Settings, delivery: Delivery) -> IsolatedAgent:
    async def reject(failures: Failures) -> None:
        await delivery.send(delivery.dead_letters(failures))

    return IsolatedAgent(agent, delivery.stage, DeadLetterCap.of(settings), reject)


async def _skip(failures: Failures) -> None:
    """A dead letter that cannot be processed: a dead letter of it would come back to the same agent."""
    for source, poison in failures:
        log.error("dead letter skipped: %s", poison, extra=about(source))


async def _first_of(stop: asyncio.Event, *others: asyncio.Future[Any]) -> None:
    """Return when `stop` is set; raise what one of the others raises before."""
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({asked, *others}, return_when=asyncio.FIRST_COMPLETED)
        for ended in others:
            if ended.done():
                with SHUTDOWN.on_failure(), refusals_stop():
                    ended.result()
    finally:
        asked.cancel()


def _now() -> datetime:
    return datetime.now(UTC)


async def _refused(consents: Consents, users: Collection[str]) -> Collection[str]:
    """Those of these users who do not consent to being listened to. Raises Transient, BrokerRefused."""
    await consents.refresh()
    return await asyncio.to_thread(lambda: {user for user in users if consents.refusal(user) is not None})


async def _close_joins(fusion: FusionAgent) -> None:
    while True:
        await asyncio.sleep(CLOSE_EVERY_S)
        try:
            while await fusion.close_overdue() == CLOSED_AT_ONCE:
                await asyncio.sleep(0)
        except Transient as error:
            log.warning("timeouts of joins delayed, retrying: %s", error)


async def _take_over(store: Store, settings: Settings) -> None:
    """Seal state that was written in clear, also of users without memos; after `off`, the other way."""
    while True:
        try:
            if moved := await take_over(store, settings):
                log.info("state of users was taken over, values=%d", moved)
            await asyncio.sleep(TAKE_OVER_EVERY_S)
        except Transient as error:
            log.warning("state of users is taken over later, retrying: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)


def _with_open_joins(behind_s: float | None, settings: Settings) -> float | None:
    """The age of what is surely read, with time for memos that wait for a modality which will not come."""
    return None if behind_s is None else behind_s + 2 * settings.join_timeout_s


async def _watch_silence(watch: SilenceWatch) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            while await watch.look() == SILENCES_AT_ONCE:
                await asyncio.sleep(0)
        except Transient as error:
            log.warning("silences are looked at later, retrying: %s", error)

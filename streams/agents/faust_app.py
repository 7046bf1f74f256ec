"""The Faust application that reads for the agents, from start to graceful shutdown."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import faust
from aiokafka.errors import TopicAuthorizationFailedError
from faust.auth import OAuthCredentials

from schemas.pipeline import AGENT_STAGES, AGENTS_GROUP
from schemas.settings import Settings
from streams.agents.agent_loop import Agent, add_agent
from streams.agents.batch_locks import BatchLocks
from streams.agents.faust_consumer import App
from workers.kafka.authorization_errors import refusal
from workers.kafka.clients import METADATA_AGE_S, client_options, rebalance_timeout_s
from workers.service import prometheus
from workers.service.health import HEALTH
from workers.service.shutdown import SHUTDOWN

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 0.5
RELEASE_S = 1.0
"""Timeout of removing the marks of a batch that was stopped."""
WATCH_EVERY_S = 0.5
"""Interval of checking whether Faust still runs and has permission to read."""


def make_app(settings: Settings) -> App:
    """A Faust application without agents: no tables, no changelogs, no leader, no web server, no reply topic."""
    options = client_options(settings)
    return App(
        AGENTS_GROUP,
        broker=[f"kafka://{address.strip()}" for address in options["bootstrap_servers"].split(",")],
        broker_credentials=_credentials(options),
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        web_enabled=False,
        reply_create_topic=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{AGENTS_GROUP}-{settings.instance}" if settings.instance else None,
        broker_commit_interval=COMMIT_EVERY_S,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 3,
        broker_rebalance_timeout=rebalance_timeout_s(settings),
        broker_max_poll_interval=settings.max_poll_interval_s,
        consumer_metadata_max_age_ms=int(METADATA_AGE_S * 1000),
        stream_wait_empty=False,
    )


def _credentials(options: dict[str, Any]) -> faust.SSLCredentials | faust.SASLCredentials | OAuthCredentials | None:
    """The credentials of the other Kafka clients, in Faust's types."""
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            mechanism=options["sasl_mechanism"],
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


@asynccontextmanager
async def reading(settings: Settings, agents: Mapping[str, Agent]) -> AsyncIterator[tuple[App, asyncio.Future[None]]]:
    """Run agents for the duration of the block; yields the app and a future that fails when an agent or Faust does.

    At the end, and before partitions are revoked, current batches are finished, delivered and committed within
    `settings.stop_deadline_s`.
    """
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    app, locks = make_app(settings), BatchLocks()

    def crash(error: BaseException | None) -> None:
        # After a refusal Faust closes its client, on which an agent may fail before the refusal is seen here.
        cause = refusal(error) or refusal(app.crash_reason) or error or RuntimeError("Faust exited unexpectedly")
        SHUTDOWN.begin(cause)
        if not failed.done():
            failed.set_exception(cause)

    async def finish(*_: Any, **__: Any) -> None:
        async with locks.quiet(settings.stop_deadline_s) as in_time:
            if not in_time:
                log.warning("batch timeout after %g s; it will be reprocessed", settings.stop_deadline_s)
            await app.consumer.commit()
            if in_time:
                await app.consumer.release()

    async def watch() -> None:
        while not app._crashed.is_set():
            await asyncio.sleep(WATCH_EVERY_S)
            if topics := app.consumer.refused_topics() & {reads[stage].name for stage in agents}:
                return crash(TopicAuthorizationFailedError(*topics))
        return crash(app.crash_reason)

    reads = {stage.name: stage.reads for stage in AGENT_STAGES}
    loops = [add_agent(app, stage, reads[stage], agent, settings, locks, crash) for stage, agent in agents.items()]
    app.on_partitions_assigned.connect(_assigned, weak=False)
    app.on_partitions_revoked.connect(finish, weak=False)
    app.finalize()
    tasks = [asyncio.create_task(each) for each in (watch(), *loops)]
    try:
        with SHUTDOWN.on_failure():
            await app.start()
            yield app, failed
        if not (failed.done() or app._crashed.is_set()):
            await _in_time(finish(), settings.stop_deadline_s)
    except Exception:
        # An error is no death: no record is to blame.
        await _attempted(app.consumer.release(), RELEASE_S)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app.stop()


async def _in_time(finishing: Awaitable[None], within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await finishing
    except TimeoutError:
        log.warning("commit timeout after %g s; the last batch will be reprocessed", within_s)


async def _attempted(work: Coroutine[Any, Any, None], within_s: float) -> None:
    """Do what may fail, as on a client that Faust has closed: the error before it decides how the process ends."""
    task = asyncio.create_task(work)
    await asyncio.wait({task}, timeout=within_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _assigned(_: faust.App, assigned: Collection[Any], **__: Any) -> None:
    """Count a rebalance; `assigned` holds all partitions that this process has now, of all agents."""
    HEALTH.has("partitions")
    for stage in AGENT_STAGES:
        prometheus.REBALANCES.labels(stage=stage.name).inc()
        count = sum(at.topic == stage.reads.name for at in assigned)
        prometheus.PARTITIONS_ASSIGNED.labels(stage=stage.name).set(count)

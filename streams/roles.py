"""What each production role consists of."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from schemas.events import MemoFeatures, Modality
from schemas.settings import Settings
from streams.alertmanager import Alertmanager
from streams.bridge import Bridge
from streams.system import make_codec
from streams.webhook import Webhook
from workers.broker import watch_broker
from workers.consumer import Worker
from workers.health import HEALTH, START_WITHIN_S, turn
from workers.loading import load_memo
from workers.memo import Memo
from workers.objects import AudioStore
from workers.stage import Stage


def make_stage(settings: Settings, modality: Modality) -> Stage[Memo, MemoFeatures]:
    """The stage that extracts one modality; only its own libraries are loaded. Raises ConfigurationError."""
    if modality is Modality.ACOUSTIC:
        from workers.acoustic.stage import AcousticStage

        return AcousticStage(settings)
    from workers.wav2vec2.stage import EmbeddingStage

    return EmbeddingStage.from_settings(settings)


async def run_worker(settings: Settings, modality: Modality, stop: asyncio.Event) -> None:
    """Run the worker of one modality until `stop` is set."""
    async with _beside(settings):
        with _model_loading():
            stage = await asyncio.to_thread(make_stage, settings, modality)
        load = partial(load_memo, store=AudioStore(settings), settings=settings)
        first = modality is settings.modalities[0]
        async with Worker(settings, stage, load, make_codec(settings), owns_input=first) as worker:
            asking = asyncio.create_task(stop.wait())
            asking.add_done_callback(lambda _: worker.stop())
            try:
                await worker.run()
            finally:
                asking.cancel()


async def run_agents(settings: Settings, stop: asyncio.Event) -> None:
    """Run the fusion and drift agents until `stop` is set."""
    async with _beside(settings):
        HEALTH.lacks("redis", "was not asked yet")
        with _model_loading():
            from streams.app import run_app
            from workers.scoring.bundle import Bundle
            from workers.scoring.scorer import Scorer

            scorer = Scorer(await asyncio.to_thread(Bundle.load, settings.bundle))
        await run_app(settings, make_codec(settings), scorer, stop)


async def run_bridge(settings: Settings, receiver: Alertmanager | Webhook, stop: asyncio.Event) -> None:
    """Bring alerts to `receiver` until `stop` is set."""
    async with _beside(settings), receiver, Bridge(settings, make_codec(settings), receiver) as bridge:
        await bridge.run(stop)


@asynccontextmanager
async def _beside(settings: Settings) -> AsyncIterator[None]:
    """What every role does beside its work: tell that it turns, and whether the broker answers."""
    HEALTH.lacks("partitions", "are not assigned yet")
    HEALTH.lacks("broker", "was not asked yet")
    tasks = [asyncio.create_task(turn()), asyncio.create_task(watch_broker(settings))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _model_loading() -> Iterator[None]:
    HEALTH.lacks("model", "is being loaded")
    with HEALTH.during("model", "its loading", within_s=START_WITHIN_S):
        yield
    HEALTH.has("model")

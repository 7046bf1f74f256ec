"""`undertone worker`: the features of one stage, memos.uploaded → memos.features."""

import asyncio
from functools import partial

from schemas.pipeline import FeatureStage, feature_stages
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.roles.lifecycle import model_loading, run_with_health
from workers.audio.load import load_memo
from workers.audio.storage import AudioStore
from workers.consumer.worker import Worker
from workers.stages import make_stage


async def run_worker(settings: Settings, row: FeatureStage, stop: asyncio.Event) -> None:
    """Run one feature worker until `stop` is set. Raises what ended it; BrokerRefused without permission."""

    async def work() -> None:
        with model_loading():
            stage = await asyncio.to_thread(make_stage, settings, row)
        load = partial(load_memo, store=AudioStore(settings), settings=settings)
        first = row is feature_stages(settings.modalities)[0]
        async with Worker(settings, stage, load, make_codec(settings), owns_input=first) as worker:
            asking = asyncio.create_task(stop.wait())
            asking.add_done_callback(lambda _: worker.stop())
            try:
                await worker.run()
            finally:
                asking.cancel()

    await run_with_health(settings, stop, row.name, work)

"""`undertone worker`: the features of one stage, memos.uploaded → memos.features."""

import asyncio
import logging
from functools import partial

from schemas.bundle_equivalents import by_modality, read_equivalents
from schemas.bundle_manifest import bundle_id, needs_of
from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.pipeline import FeatureStage, feature_stages
from schemas.schema_registry import make_codec
from schemas.settings import Settings
from streams.roles.lifecycle import model_loading, run_with_health
from streams.roles.start_events import no_keys, start_recorded
from workers.audio.load import load_memo
from workers.audio.storage import AudioStore
from workers.consumer.worker import Worker
from workers.stages import FeatureExtractor, check_extractors, make_stage
from workers.wav2vec2.engines.choice import chosen

log = logging.getLogger(__name__)


async def run_worker(settings: Settings, row: FeatureStage, stop: asyncio.Event) -> None:
    """Run one feature worker until `stop` is set.

    Raises what ended it; BrokerRefused without permission, ConfigurationError for a model that cannot be used.
    """

    async def work() -> None:
        with model_loading():
            stage = await asyncio.to_thread(_stage, settings, row)
        load = partial(load_memo, store=AudioStore(settings), settings=settings)
        first = row is feature_stages(settings.modalities)[0]
        async with (
            Worker(settings, stage, load, make_codec(settings), owns_input=first) as worker,
            start_recorded(settings, f"worker.{row.name}", no_keys, bundle_id(settings.bundle)),
        ):
            asking = asyncio.create_task(stop.wait())
            asking.add_done_callback(lambda _: worker.stop())
            log.info("%s: ready", row.name, extra=_traits(settings, stage))
            try:
                await worker.run()
            finally:
                asking.cancel()

    await run_with_health(settings, stop, row.name, work)


def _traits(settings: Settings, stage: FeatureExtractor) -> dict[str, str]:
    """Fields of the line that says that a worker is ready: on what it computes, and with which model."""
    computes = _encoder_traits(settings) if Modality.EMBEDDING in stage.extractors else {}
    return {
        "device": stage.device,
        "modalities": ",".join(stage.extractors),
        "extractor": ", ".join(extractor.label for extractor in stage.extractors.values()),
        "bundle": bundle_id(settings.bundle) or "none",
        **computes,
    }


def _encoder_traits(settings: Settings) -> dict[str, str]:
    choice = chosen(settings)
    return {"precision": settings.precision, "engine": choice.engine, "engine_reason": choice.reason}


def _stage(settings: Settings, row: FeatureStage) -> FeatureExtractor:
    """The stage of the row. Where a bundle is set, it must give that bundle's features: the agents reject others."""
    stage = make_stage(settings, row)
    needs = needs_of(settings.bundle) if "bundle" in settings.model_fields_set else None
    try:
        if needs is not None:
            accepted = by_modality(read_equivalents(settings.bundle, needs.id))
            check_extractors(stage.extractors, needs.extractors, accepted)
    except ConfigurationError:
        stage.close()
        raise
    return stage

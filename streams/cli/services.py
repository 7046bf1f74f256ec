"""The production roles: one process each."""

import asyncio
from typing import Annotated

import typer

from schemas.errors import ConfigurationError
from schemas.pipeline import FEATURE_STAGES, FeatureStage, feature_stage, feature_stages
from schemas.settings import Settings

topics_app = typer.Typer(help="Create and describe the topics.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(worker)
    app.command()(agents)
    app.add_typer(topics_app, name="topics")


def _stage(name: str) -> FeatureStage:
    try:
        return feature_stage(name)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def worker(
    stage: Annotated[
        FeatureStage,
        typer.Argument(
            parser=_stage, metavar="|".join(row.name for row in FEATURE_STAGES), help="Which features to extract."
        ),
    ],
) -> None:
    """Run one feature worker: memos.uploaded → memos.features."""
    from streams.cli.tensorflow_quiet import import_tensorflow_for
    from streams.roles.feature_worker import run_worker
    from streams.roles.process import until_asked_to_stop

    settings = Settings.load()
    if stage not in feature_stages(settings.modalities):
        given, needed = ", ".join(stage.modalities), ", ".join(settings.modalities)
        raise typer.BadParameter(f"{stage.name} extracts {given}, and UNDERTONE_MODALITIES asks for {needed}")
    import_tensorflow_for(stage.modalities)
    until_asked_to_stop(settings, stage.name, lambda stop: run_worker(settings, stage, stop))


def agents() -> None:
    """Run the agents: memos.features → risk.scored → risk.alerts."""
    from streams.cli.tensorflow_quiet import import_tensorflow_for
    from streams.roles.agents import run_agents
    from streams.roles.process import until_asked_to_stop

    settings = Settings.load()
    import_tensorflow_for(bundle=settings.bundle)
    until_asked_to_stop(settings, "agents", lambda stop: run_agents(settings, stop))


@topics_app.command()
def create() -> None:
    """Create the topics that are missing, with their retention; those that exist stay as they are."""
    from workers.kafka.admin import create_topics

    for line in asyncio.run(create_topics(Settings.load())):
        print(line)


@topics_app.command()
def describe() -> None:
    """List the topics with partitions, retention and the consumer lag of each group."""
    from rich.console import Console

    from streams.local.discover import connected
    from workers.kafka.admin import describe_topics

    Console().print(asyncio.run(describe_topics(connected(Settings.load()))))

"""The production roles: one process each."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from schemas.pipeline import FEATURE_STAGES, FeatureStage, Implementation, feature_stage, feature_stages
from streams.cli.load_settings import check_bundle, load_settings

if TYPE_CHECKING:
    from workers.kafka.admin import TopicState

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
    from schemas.settings import Settings

    settings = Settings.load()
    if stage not in feature_stages(settings.modalities):
        given, needed = ", ".join(stage.modalities), ", ".join(settings.modalities)
        asks = "UNDERTONE_MODALITIES names" if "modalities" in settings.model_fields_set else "the bundle needs"
        raise typer.BadParameter(f"{stage.name} extracts {given}, and {asks} {needed} only: this worker is not needed")
    if stage.implementation is Implementation.WAV2VEC2 and settings.encoder is None:
        check_bundle(settings)
    from streams.cli.tensorflow_quiet import import_tensorflow_for
    from streams.roles.feature_worker import run_worker
    from streams.roles.process import until_asked_to_stop

    import_tensorflow_for(stage.modalities)
    until_asked_to_stop(settings, stage.name, lambda stop: run_worker(settings, stage, stop))


def agents() -> None:
    """Run the agents: memos.features → risk.scored → risk.alerts."""
    from schemas.settings import Settings

    settings = Settings.load()
    check_bundle(settings)
    from streams.cli.tensorflow_quiet import import_tensorflow_for
    from streams.roles.agents import run_agents
    from streams.roles.process import until_asked_to_stop

    import_tensorflow_for(bundle=settings.bundle)
    until_asked_to_stop(settings, "agents", lambda stop: run_agents(settings, stop))


@topics_app.command()
def create() -> None:
    """Create the topics that are missing, with their retention; those that exist stay as they are.

    With SCHEMA_REGISTRY_URL the schema of each topic's records is registered too. Both may be repeated.
    """
    from schemas.schema_registry import make_codec, register_subjects
    from workers.kafka.admin import create_topics

    settings = load_settings()
    codec = make_codec(settings)  # refuses a wrong address before anything is created
    for line in asyncio.run(create_topics(settings)):
        print(line)
    if codec.registry is not None:
        for subject, number in register_subjects(codec.registry):
            print(f"{subject}: registered, schema id {number}")


@topics_app.command("schemas")
def list_schemas(
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per version.")] = False,
) -> None:
    """List every released schema version with the fingerprint that its records carry without a schema registry."""
    from schemas.schema_versions import schema_versions

    if json_lines:
        for each in schema_versions():
            fingerprint = {"fingerprint": each.fingerprint.hex(), "integer": each.integer, "java_long": each.java_long}
            row = {"topic": each.topic, "record": each.record, "version": each.number, "file": each.file}
            print(json.dumps({**row, "first_release": each.first_release, **fingerprint}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "version", "since", "fingerprint", "integer")
    for each in schema_versions():
        table.add_row(each.topic, str(each.number), each.first_release, each.fingerprint.hex(), str(each.integer))
    Console().print(table)


@topics_app.command()
def describe(json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per topic.")] = False) -> None:
    """List the topics with partitions, retention and the consumer lag of each group.

    A number that the broker cannot report yet says why in its place, and the exit code is 69.
    """
    from schemas.errors import Transient
    from streams.local.discover import connected
    from workers.kafka.admin import describe_topics

    found = asyncio.run(describe_topics(connected(load_settings())))
    if json_lines:
        for each in found:
            row = {"topic": each.topic.name, "retention_s": each.topic.retention.total_seconds()}
            print(json.dumps({**row, "partitions": each.partitions, "records": each.records, "lag": dict(each.lag)}))
    else:
        _print_topics(found)
    if any(each.unknown for each in found):
        raise Transient("the broker does not report every number yet")


def _print_topics(found: "list[TopicState]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "retention", "partitions", "records", "consumer lag", "meaning")
    for each in found:
        lag = "\n".join(f"{group} {records}" for group, records in each.lag.items())
        counts = str(each.partitions), str(each.records)
        table.add_row(each.topic.name, f"{each.topic.retention.days} d", *counts, lag, each.topic.meaning)
    Console().print(table)

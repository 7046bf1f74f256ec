"""The production roles, one process each, and their topics."""

import asyncio
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.bundle_manifest import ENCODER, encoder_of
from schemas.channels import CHANNELS, Channel
from schemas.errors import ConfigurationError
from schemas.pipeline import FEATURE_STAGES, FeatureStage, Implementation, feature_stage, feature_stages
from streams.cli.load_settings import check_bundle, import_tensorflow_for, import_tensorflow_for_head, load_settings
from streams.cli.printing import AsJson, Column, printer, progress
from streams.terminal.arguments import http_address

if TYPE_CHECKING:
    from streams.terminal.json_lines import CreatedTopic, RegisteredSubject, SchemaVersion, TopicState

bridge_app = typer.Typer(help="Deliver alerts to a receiver outside Kafka.", no_args_is_help=True)
topics_app = typer.Typer(help="Create and describe the topics.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(worker)
    app.command()(agents)
    app.command()(dashboard)
    app.add_typer(topics_app, name="topics")
    app.add_typer(bridge_app, name="bridge")


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
    if stage.implementation is Implementation.WAV2VEC2:
        encoder = encoder_of(settings.bundle, settings.encoder)
        if encoder == str(settings.bundle / ENCODER) and not Path(encoder).is_dir():
            check_bundle(settings)
    from streams.roles.feature_worker import run_worker
    from streams.roles.process import until_asked_to_stop

    import_tensorflow_for(settings, stage.modalities)
    until_asked_to_stop(settings, stage.name, lambda stop: run_worker(settings, stage, stop))


def agents() -> None:
    """Run the agents: memos.features → risk.scored → risk.alerts."""
    from schemas.settings import Settings

    settings = Settings.load()
    check_bundle(settings)
    from streams.roles.agents import run_agents
    from streams.roles.process import until_asked_to_stop

    import_tensorflow_for_head(settings.bundle)
    until_asked_to_stop(settings, "agents", lambda stop: run_agents(settings, stop))


def dashboard() -> None:
    """Serve the dashboard: what clinicians and operators look at, and its API.

    It listens at UNDERTONE_DASHBOARD_HOST and UNDERTONE_DASHBOARD_PORT. `undertone up` starts one as well.
    """
    from schemas.settings import Settings
    from streams.local.discover import connected, running
    from streams.local.privacy.home_place import HomePlace
    from streams.local.uploads import journaled, with_inbox
    from streams.roles.dashboard import run_dashboard
    from streams.roles.process import until_asked_to_stop

    given = Settings.load()
    settings, found = connected(given), running(given)
    submitting = None
    if found is not None and found.bootstrap == settings.kafka_bootstrap:
        settings = with_inbox(settings)
        submitting = journaled(settings.home, embedded=found.embedded)
    places = [HomePlace(settings.home)]
    until_asked_to_stop(settings, "dashboard", lambda stop: run_dashboard(settings, stop, submitting, places))


@topics_app.command()
def create(as_json: AsJson = False) -> None:
    """Create the topics that are missing, with their retention; those that exist stay as they are.

    With SCHEMA_REGISTRY_URL the schema of each topic's records is registered too. Both may be repeated.
    """
    from schemas.schema_registry import make_codec, register_subjects
    from workers.kafka.admin import create_topics

    settings, output = load_settings(), printer(as_json)
    codec = make_codec(settings)  # refuses a wrong address before anything is created
    created = asyncio.run(create_topics(settings)).items()
    made: list[CreatedTopic] = [{"topic": name, "created": new} for name, new in created]
    output.lines(made, lambda each: f"{each['topic']}: {'created' if each['created'] else 'exists'}")
    if codec.registry is not None:
        found = register_subjects(codec.registry)
        subjects: list[RegisteredSubject] = [{"subject": name, "schema_id": number} for name, number in found]
        output.lines(subjects, lambda each: f"{each['subject']}: registered, schema id {each['schema_id']}")


@topics_app.command("schemas")
def list_schemas(as_json: AsJson = False) -> None:
    """List every released schema version with the fingerprint that its records carry without a schema registry."""
    from schemas.schema_versions import schema_versions

    versions: list[SchemaVersion] = [
        {
            "topic": each.topic,
            "record": each.record,
            "version": each.number,
            "file": each.file,
            "first_release": each.first_release,
            "fingerprint": each.fingerprint.hex(),
            "integer": each.integer,
            "java_long": each.java_long,
        }
        for each in schema_versions()
    ]
    columns: tuple[Column[SchemaVersion], ...] = (
        Column("topic", itemgetter("topic")),
        Column("version", itemgetter("version"), right=True),
        Column("since", itemgetter("first_release")),
        Column("fingerprint", itemgetter("fingerprint")),
        Column("integer", itemgetter("integer"), right=True),
    )
    printer(as_json).table(versions, columns)


@topics_app.command()
def describe(as_json: AsJson = False) -> None:
    """List the topics with partitions, retention and the consumer lag of each group.

    A number that the broker cannot report yet says why in its place, and the exit code is 69.
    """
    from schemas.errors import Transient
    from schemas.keeping_settings import retention_of
    from streams.local.discover import connected
    from workers.kafka.admin import describe_topics

    settings = connected(load_settings(), redis=False)
    with progress(None, "asking the broker"):
        found = asyncio.run(describe_topics(settings))
    states: list[TopicState] = [
        {
            "topic": each.topic.name,
            "retention_s": retention_of(each.topic, settings).total_seconds(),
            "partitions": each.partitions,
            "records": each.records,
            "lag": {**each.lag},
            "meaning": each.topic.meaning,
        }
        for each in found
    ]
    printer(as_json).table(states, TOPIC_COLUMNS)
    if any(each.unknown for each in found):
        raise Transient("the broker does not report every number yet")


TOPIC_COLUMNS: "tuple[Column[TopicState], ...]" = (
    Column("topic", itemgetter("topic")),
    Column("retention", lambda each: f"{each['retention_s'] / 86400:g} d", right=True),
    Column("partitions", itemgetter("partitions"), right=True),
    Column("records", itemgetter("records"), right=True),
    Column("consumer lag", lambda each: ", ".join(f"{group} {lag}" for group, lag in each["lag"].items())),
    Column("meaning", itemgetter("meaning")),
)


Url = Annotated[
    str | None, typer.Option(parser=http_address, metavar="URL", help="Address of the receiver. Default: the setting.")
]


def _command(channel: Channel) -> Callable[..., None]:
    """The command of one channel; it loads only what that channel needs."""

    def bridge(url: Url = None) -> None:
        from schemas.settings import Settings
        from streams.local.discover import connected
        from streams.notify.receivers import make_receiver
        from streams.roles.bridge import run_bridge
        from streams.roles.process import until_asked_to_stop

        given = Settings.load(**({channel.setting: url} if url else {}))
        receiver = make_receiver(channel, given)
        settings = connected(given, redis=False)
        until_asked_to_stop(settings, f"bridge-{channel.name}", lambda stop: run_bridge(settings, receiver, stop))

    return bridge


for _channel in CHANNELS:
    bridge_app.command(_channel.name, help=f"{_channel.meaning}\n\n{_channel.address}")(_command(_channel))

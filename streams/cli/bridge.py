"""`undertone bridge`: alerts to receivers outside Kafka."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.run_role import until_asked_to_stop

if TYPE_CHECKING:
    from schemas.settings import Settings
    from streams.notify.alertmanager import Alertmanager
    from streams.notify.webhook import Webhook

bridge_app = typer.Typer(help="Bring alerts to Alertmanager, or to a webhook.", no_args_is_help=True)

Url = Annotated[str | None, typer.Option(help="Address of the receiver; else the setting.")]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(bridge_app, name="bridge")


@bridge_app.command()
def alertmanager(url: Url = None) -> None:
    """Post episodes to Alertmanager: raised fires, resolved resolves, one notification an episode.

    UNDERTONE_ALERTMANAGER_URL names one Alertmanager, or all of a cluster with commas between.
    """
    from schemas.settings import Settings
    from streams.notify.alertmanager import Alertmanager

    given = Settings.load(**({"alertmanager_url": url} if url else {}))
    _deliver(given, Alertmanager(given))


@bridge_app.command()
def webhook(url: Url = None) -> None:
    """Post every alert to a webhook, signed by the rules of Standard Webhooks.

    UNDERTONE_WEBHOOK_URL is the address, UNDERTONE_WEBHOOK_SECRET the secret that receivers check signatures with.
    """
    from schemas.settings import Settings
    from streams.notify.webhook import Webhook

    given = Settings.load(**({"webhook_url": url} if url else {}))
    _deliver(given, Webhook(given))


def _deliver(given: "Settings", receiver: "Alertmanager | Webhook") -> None:
    from streams.local.discover import connected
    from streams.roles.lifecycle import run_bridge

    settings = connected(given)
    until_asked_to_stop(settings, f"bridge-{receiver.name}", lambda stop: run_bridge(settings, receiver, stop))

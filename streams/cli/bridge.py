"""`undertone bridge`: alerts to receivers outside Kafka, one command per channel."""

from collections.abc import Callable
from typing import Annotated

import typer

from schemas.channels import CHANNELS, Channel
from streams.terminal.arguments import http_address

bridge_app = typer.Typer(help="Deliver alerts to a receiver outside Kafka.", no_args_is_help=True)

Url = Annotated[
    str | None, typer.Option(parser=http_address, metavar="URL", help="Address of the receiver. Default: the setting.")
]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(bridge_app, name="bridge")


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

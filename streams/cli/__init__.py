"""The `undertone` command. Heavy imports stand inside the subcommands that need them, so that help is instant."""

import logging
import os
import sys

import typer

from schemas.errors import Stop
from streams.cli import alerts, bridge, dead_letters, demo, drift, offline, roles, stream, train

app = typer.Typer(
    name="undertone",
    help="Notices how a person's voice changes. A compass for clinicians, never a diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for commands in (demo, stream, alerts, offline, drift, train, roles, bridge, dead_letters):
    commands.add_to(app)


def main() -> None:
    """Run the command; an error that Undertone raises on purpose becomes one line and its own exit code."""
    # TensorFlow greets at length on standard error; only its errors are of interest here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("aiokafka", "faust", "mode", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except Stop as stop:
        typer.secho(f"undertone: {stop}", fg="red", err=True)
        raise SystemExit(stop.exit_code) from None


__all__ = ["app", "main"]

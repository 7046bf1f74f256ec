"""The `undertone` command. Heavy imports are inside the subcommands that need them, so that help is instant."""

import logging
import os
import sys
from typing import Annotated, NoReturn

import typer

from schemas.errors import Stop, Transient
from streams.cli import alerts, bridge, dead_letters, demo, drift, memos, offline, rescore, services, train

app = typer.Typer(
    name="undertone",
    help="Detects how a person's voice changes. A compass for clinicians, never a diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for commands in (demo, memos, alerts, offline, drift, train, services, bridge, dead_letters, rescore):
    commands.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"undertone {metadata.version('undertone')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; an UndertoneError becomes one line and its own exit code."""
    # TensorFlow logs a lot at start; only its errors matter here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("aiokafka", "faust", "mode", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        app()
    except Stop as stop:
        _end(str(stop), stop.exit_code)
    except Transient as unavailable:
        _end(f"{unavailable}; try again later", os.EX_UNAVAILABLE)
    except Exception as error:
        from workers.kafka.authorization_errors import refusal

        if refused := refusal(error):
            _end(str(refused), refused.exit_code)
        raise


def _end(message: str, code: int) -> NoReturn:
    from workers.service.terminal import escaped

    typer.secho(escaped(f"undertone: {message}"), fg="red", err=True)
    raise SystemExit(code) from None


__all__ = ["app", "main"]

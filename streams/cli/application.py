"""The commands as one application, and how it ends: an exit code, and on failure one sentence on standard error."""

import io
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from schemas.errors import EXIT_CODES, ExitCode, Stop, Transient, UndertoneError
from streams.cli import (
    alerts,
    dead_letters,
    demo,
    doctor,
    drift,
    history,
    memos,
    offline,
    rescore,
    scores,
    services,
)
from streams.cli.models import bundles, train
from streams.cli.printing import fail
from streams.cli.privacy import audit, consent, erase, export, keys
from streams.cli.privacy.recorded import record_commands
from streams.terminal.command_logs import log_own_lines

app = typer.Typer(
    name="undertone",
    help="Detects how a person's voice changes. A compass for clinicians, never a diagnosis.",
    epilog="Exit codes: " + ", ".join(f"{code} {row.summary}" for code, row in EXIT_CODES.items()) + ".",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (
    demo,
    memos,
    scores,
    alerts,
    offline,
    drift,
    train,
    bundles,
    services,
    history,
    keys,
    consent,
    export,
    erase,
    dead_letters,
    rescore,
    doctor,
    audit,
):
    commands.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from schemas.version import version

        print(f"undertone {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def run() -> NoReturn:
    """Run the command and end the process with the code of EXIT_CODES."""
    _prepare_streams()
    # TensorFlow logs a lot at start; only its errors matter here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    log_own_lines()
    try:
        code = _commands()(standalone_mode=False, prog_name="undertone")
    except TyperException as error:
        _fail_usage(error)
    except Stop as stop:
        fail(str(stop), stop.exit_code)
    except Transient as unavailable:
        fail(f"{unavailable}; try again later", ExitCode.UNAVAILABLE)
    except Exception as error:
        _fail_known(error)
        raise
    sys.exit(code or ExitCode.OK)


def _prepare_streams() -> None:
    """What a stream's encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _commands() -> Any:
    """The commands, made for each run, which record what they do. In a pipe or a file their help is plain text."""
    commands = typer.main.get_command(app)
    record_commands(commands)
    if not sys.stdout.isatty():
        _help_plainly(commands)
    return commands


def _help_plainly(command: Any) -> None:
    """Of this command and those below: help without markup, and summaries that a list of commands folds, not cuts."""
    command.rich_markup_mode = None
    command.short_help = command.get_short_help_str(sys.maxsize)
    for each in getattr(command, "commands", {}).values():
        _help_plainly(each)


def _fail_known(error: Exception) -> None:
    """End the command for an error whose meaning is known: what a server or a disk refuses, input that is unusable."""
    if isinstance(error, UndertoneError):
        fail(str(error), ExitCode.FAILED)
    if isinstance(error, OSError) and error.filename is not None:
        fail(f"{error.filename}: {error.strerror}; check the path and its permissions", ExitCode.FAILED)
    from workers.kafka.authorization_errors import refusal
    from workers.kafka.connect import outage

    if refused := refusal(error):
        fail(str(refused), refused.exit_code)
    if unavailable := outage(error):
        fail(f"{unavailable}; try again later", ExitCode.UNAVAILABLE)


def _fail_usage(error: TyperException) -> NoReturn:
    """One sentence, and where help is; a group without a command shows its help."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:
        fail(message, ExitCode.USAGE)
    if type(error).__name__ == "NoArgsIsHelpError":
        # Its message is the help; where rich writes that, it has done so already.
        print(message, file=sys.stderr)
        fail("give one of these commands", ExitCode.USAGE)
    fail(f"{message.rstrip('.')}; see `{context.command_path} --help`", ExitCode.USAGE)


__all__ = ["app", "run"]

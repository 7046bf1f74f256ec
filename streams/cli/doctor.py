"""`undertone doctor`: one line per check of this installation and of its servers, with the fix."""

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ExitCode
from streams.cli.printing import AsJson, printer
from streams.terminal.arguments import positive

if TYPE_CHECKING:
    from schemas.settings import Settings

Role = Annotated[
    str | None, typer.Option(help="Compare permissions with what this role needs, such as acoustic or agents.")
]
Skip = Annotated[list[str] | None, typer.Option(help="Leave a check out, by its name; may be repeated.")]


SendMemo = Annotated[
    bool,
    typer.Option(
        "--send-memo",
        help="Send one memo of a throw-away user through the running system, wait for its score, and clean up.",
    ),
]
AudioUri = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="With --send-memo: audio that workers can read. Default: a simulated voice, written under a prefix.",
    ),
]
WITHIN_S = 180.0
Within = Annotated[
    float | None,
    typer.Option(
        parser=positive,
        metavar="SECONDS",
        help=f"With --send-memo: wait so long for each stage. Default: {WITHIN_S:g}.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(doctor)


def doctor(
    role: Role = None,
    skip: Skip = None,
    send_memo: SendMemo = False,
    audio_uri: AudioUri = None,
    within: Within = None,
    as_json: AsJson = False,
) -> None:
    """Check this installation, Kafka, Redis, storage and models: one line each, with the fix.

    Run it with the environment of the process in question. It changes nothing without `--send-memo`, prints no secret,
    and ends with 1 when a check failed.
    """
    _check_arguments(role, skip or [])
    for name, given in (("--audio-uri", audio_uri), ("--within", within)):
        if given is not None and not send_memo:
            raise typer.BadParameter("it has no use without --send-memo", param_hint=name)
    memo = (audio_uri, WITHIN_S if within is None else within) if send_memo else None
    with suppress(asyncio.CancelledError):
        raise typer.Exit(ExitCode.FAILED if asyncio.run(_doctor(role, skip or [], memo, as_json)) else ExitCode.OK)
    raise typer.Exit(ExitCode.INTERRUPTED)


def _check_arguments(role: str | None, skip: list[str]) -> None:
    from schemas.permissions import rights

    roles = sorted({right.role for right in rights()})
    if role is not None and role not in roles:
        raise typer.BadParameter(f"no role is named {role}; there are: {', '.join(roles)}", param_hint="--role")
    if skip:
        from streams.doctor.table import CHECKS

        names = [check.name for check in CHECKS]
        if unknown := [name for name in skip if name not in names]:
            known = ", ".join(names)
            raise typer.BadParameter(f"no check is named {unknown[0]}; there are: {known}", param_hint="--skip")


async def _doctor(role: str | None, skip: list[str], memo: tuple[str | None, float] | None, as_json: bool) -> bool:
    """Whether a check failed. memo: with --send-memo the URI of its audio, and how long a stage is waited for."""
    from streams.doctor.environment import usable_settings
    from streams.doctor.examination import Patient, Result, examine
    from streams.doctor.table import CHECKS
    from streams.local.privacy.default_sealing import sealed_as_home

    given, faults = usable_settings()
    settings = sealed_as_home(given)
    found = _running(settings, with_inbox=memo is not None)
    patient = Patient(settings if found is None else found[0], faults, found is not None and found[1], role)
    checks = [check for check in CHECKS if check.name not in skip]
    if memo is not None:
        from streams.doctor.sent_memo import SentMemo

        _clean_up_on_interrupt()
        checks += SentMemo(*memo).checks(patient.settings.modalities)
    output, counts, width = printer(as_json), Counter[str](), max(len(check.name) for check in checks)

    def sentence(result: Result) -> str:
        fix = f"; fix: {result.fix}" if result.fix else ""
        return f"{result.status:8} {result.check:{width}} {result.text}{fix}"

    async for result in examine(checks, patient):
        counts[result.status] += 1
        output.lines([result], sentence)
    output.note(", ".join(f"{count} {status}" for status, count in counts.items()))
    return bool(counts["failed"])


def _running(settings: "Settings", *, with_inbox: bool) -> "tuple[Settings, bool] | None":
    """The settings with the addresses of a system that `undertone up` runs, and whether its broker is embedded.

    with_inbox: whether the folder of submitted audio, which its workers read, is one of the prefixes.
    """
    from streams.local.discover import running
    from streams.local.private_files import private_folder

    found = None if settings.kafka_bootstrap and settings.redis_url else running(settings)
    if found is None:
        return None
    inbox = (private_folder(settings.home / "audio").resolve().as_uri(),) if with_inbox else ()
    changes = {
        "kafka_bootstrap": settings.kafka_bootstrap or found.bootstrap,
        "redis_url": settings.redis_url or found.redis_url,
        "audio_prefixes": (*inbox, *settings.audio_prefixes),
    }
    return settings.model_copy(update=changes), found.embedded and settings.kafka_bootstrap is None


def _clean_up_on_interrupt() -> None:
    """Ctrl-C ends the command only after it has removed what it wrote."""
    this = asyncio.current_task()
    assert this is not None
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, this.cancel)

"""`undertone alerts`: follow alerts, and mute them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Column, fail, printer, progress, warn
from streams.cli.privacy.recorded import record
from streams.terminal.arguments import pseudonym
from streams.terminal.parse_time import length, moment

if TYPE_CHECKING:
    from schemas.events import RiskAlert
    from streams.drift.mutes import Mute, Scope
    from workers.state.store import Store

alerts_app = typer.Typer(help="Follow alerts, or mute them.", invoke_without_command=True)

NAME = "Pseudonym of a user; with --cohort the prefix of pseudonyms."
Cohort = Annotated[bool, typer.Option("--cohort", help="NAME is the prefix of a cohort's pseudonyms.")]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.callback()
def alerts(
    context: typer.Context,
    as_json: AsJson = False,
    from_start: Annotated[bool, typer.Option("--from-start", help="Start at the oldest retained alert.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Exit at the newest alert instead of waiting for more.")] = False,
) -> None:
    """Follow the alerts topic."""
    if context.invoked_subcommand is None:
        record("alerts", {})
        asyncio.run(_alerts(as_json, from_start=from_start or once, once=once))


async def _alerts(as_json: bool, *, from_start: bool, once: bool) -> None:
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected
    from workers.kafka.topic_reader import follow_alerts

    settings, output, found = connected(load_settings(), redis=False), printer(as_json), False
    with nullcontext() if once else progress(None, "waiting for new alerts; Ctrl-C ends"):
        async for alert in follow_alerts(settings, make_codec(settings), from_start=from_start, once=once):
            found = True
            output.lines([alert], _sentence)
    if not found:
        warn("no alerts on risk.alerts: no user has changed, or alerts are muted (`undertone alerts mutes`)")


def _sentence(alert: "RiskAlert") -> str:
    from streams.views.scores import marker_text

    evidence = f" [{', '.join(map(marker_text, alert.evidence))}]" if alert.evidence else ""
    return (
        f"{alert.at:%Y-%m-%d %H:%M} {alert.state:<9} {alert.kind} {alert.severity} user={alert.user_id} "
        f"statistic={alert.statistic:.2f} (threshold {alert.threshold:.2f}) since {alert.since:%Y-%m-%d} "
        f"bundle={alert.bundle_id}{f': {alert.summary}' if alert.summary else ''}{evidence}"
    )


@alerts_app.command()
def mute(
    name: Annotated[str, typer.Argument(parser=pseudonym, metavar="NAME", help=NAME)],
    cohort: Cohort = False,
    lasting: Annotated[timedelta | None, typer.Option("--for", parser=length, help="Duration: 12h, 3d, 2w.")] = None,
    until: Annotated[datetime | None, typer.Option(parser=moment, help="End time, RFC 3339.")] = None,
    reason: Annotated[str, typer.Option(help="Reason, shown by `mutes`.")] = "",
    by: Annotated[str, typer.Option(help="Who mutes, shown by `mutes`. Default: the user of this machine.")] = "",
    even_if_unknown: Annotated[
        bool, typer.Option("--even-if-unknown", help="Mute also when there is no state of any such user yet.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Mute a cohort of more than half of all known users.")] = False,
    as_json: AsJson = False,
) -> None:
    """Suppress `raised` and `escalated` alerts of a user or cohort for a time, never `resolved`. Scoring continues.

    What looks like a mistake is refused: a user or cohort without any state, and a cohort of most users.
    """
    now = datetime.now(UTC)
    if (lasting is None) == (until is None):
        raise typer.BadParameter("give either --for or --until")
    end = until or now + (lasting or timedelta())
    if end <= now:
        raise typer.BadParameter("the end time is in the past")
    from streams.audit.command_events import os_user
    from streams.drift.mutes import LONGEST_TEXT, Mute

    if max(len(reason), len(by)) > LONGEST_TEXT:
        raise typer.BadParameter(f"--reason and --by have at most {LONGEST_TEXT} characters")

    new = Mute(_scope(cohort=cohort), name, now, end, reason, by=by or os_user())
    with progress(None, "counting known users"):
        covered = asyncio.run(_mute(new, even_if_unknown=even_if_unknown, confirmed=yes))
    output = printer(as_json)
    output.data(new)
    output.note(f"muted {new.scope} {name} until {end:%Y-%m-%d %H:%M %Z}{covered}")


async def _mute(new: "Mute", *, even_if_unknown: bool, confirmed: bool) -> str:
    """Mute, unless that looks like a mistake; what it covers, in words."""
    from streams.drift import mutes
    from streams.views.coverage import cohort_coverage, objection, user_coverage

    async with _store() as store:
        cohort = new.scope is mutes.Scope.COHORT
        coverage = await (cohort_coverage if cohort else user_coverage)(store, new.name)
        if fault := objection(new.scope, coverage, even_if_unknown=even_if_unknown, confirmed=confirmed):
            fail(fault, ExitCode.FAILED)
        await mutes.change(store, lambda known: mutes.with_mute(known, new), new.since)
    if not cohort:
        return "" if coverage.covered else "; there is no state of this user yet"
    return f": {coverage.covered} of {coverage.known} known users, and all that come with this prefix"


@alerts_app.command()
def unmute(name: Annotated[str, typer.Argument(help=NAME)], cohort: Cohort = False, as_json: AsJson = False) -> None:
    """End a mute now; an error when there is none of exactly this name."""
    now, scope = datetime.now(UTC), _scope(cohort=cohort)
    ended = asyncio.run(_unmute(scope, name, now))
    if ended is None:
        why = f"no mute of this {scope} applies now, so none was ended; `undertone alerts mutes` lists them"
        fail(why, ExitCode.FAILED)
    output = printer(as_json)
    output.data(replace(ended, until=now))
    output.note("ended")


async def _unmute(scope: "Scope", name: str, now: datetime) -> "Mute | None":
    """End the mute, and give it as it was; None without one."""
    from streams.drift import mutes

    async with _store() as store:
        before = await mutes.change(store, lambda known: mutes.ended(known, scope, name, now), now)
    return mutes.active(before, scope, name, now)


@alerts_app.command("mutes")
def list_mutes(as_json: AsJson = False) -> None:
    """List mutes, with reasons and numbers of suppressed alerts; ended ones for ninety days."""
    columns = [
        Column["Mute"]("for", lambda one: one.scope),
        Column["Mute"]("name", lambda one: one.name),
        Column["Mute"]("since", lambda one: f"{one.since:%Y-%m-%d %H:%M}"),
        Column["Mute"]("until", lambda one: f"{one.until:%Y-%m-%d %H:%M}"),
        Column["Mute"]("suppressed", lambda one: one.withheld, right=True),
        Column["Mute"]("by", lambda one: one.by),
        Column["Mute"]("reason", lambda one: one.reason),
    ]
    found = asyncio.run(_mutes())
    if not found:
        warn("no mutes: all alerts are published")
        return
    printer(as_json).table(found, columns)


async def _mutes() -> "list[Mute]":
    from streams.drift import mutes

    async with _store() as store:
        return await mutes.change(store, lambda known: known, datetime.now(UTC))


def _scope(*, cohort: bool) -> "Scope":
    from streams.drift.mutes import Scope

    return Scope.COHORT if cohort else Scope.USER


@asynccontextmanager
async def _store() -> "AsyncIterator[Store]":
    from streams.local.discover import connected
    from workers.state.open_store import open_store

    async with open_store(connected(load_settings())) as store:
        yield store

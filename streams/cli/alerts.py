"""`undertone alerts`: follow alerts, and mute them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.state_keys import MUTES
from streams.cli.load_settings import load_settings
from streams.terminal.parse_time import length, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.events import RiskAlert
    from streams.drift.mutes import Mute

alerts_app = typer.Typer(help="Follow alerts, or mute them.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="Pseudonym of a user; with --cohort the prefix of pseudonyms.")]
Cohort = Annotated[bool, typer.Option("--cohort", help="NAME is the prefix of a cohort's pseudonyms.")]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(alerts_app, name="alerts")


@alerts_app.callback()
def alerts(
    context: typer.Context,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per alert.")] = False,
    from_start: Annotated[bool, typer.Option("--from-start", help="Start at the oldest retained alert.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Exit at the newest alert instead of waiting for more.")] = False,
) -> None:
    """Follow the alerts topic."""
    if context.invoked_subcommand is None:
        asyncio.run(_alerts(json_lines, from_start=from_start or once, once=once))


async def _alerts(json_lines: bool, *, from_start: bool, once: bool) -> None:
    from schemas.json_records import to_json
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected
    from workers.kafka.topic_reader import follow_alerts

    settings = connected(load_settings())
    async for alert in follow_alerts(settings, make_codec(settings), from_start=from_start, once=once):
        print(to_json(alert) if json_lines else _sentence(alert), flush=True)


def _sentence(alert: "RiskAlert") -> str:
    from workers.service.terminal import escaped

    return escaped(
        f"{alert.at:%Y-%m-%d %H:%M} {alert.state:<9} {alert.kind} {alert.severity} user={alert.user_id} "
        f"statistic={alert.statistic:.2f} (threshold {alert.threshold:.2f}) since {alert.since:%Y-%m-%d} "
        f"bundle={alert.bundle_id}"
    )


@alerts_app.command()
def mute(
    name: Name,
    cohort: Cohort = False,
    lasting: Annotated[timedelta | None, typer.Option("--for", parser=length, help="Duration: 12h, 3d, 2w.")] = None,
    until: Annotated[datetime | None, typer.Option(parser=moment, help="End time, RFC 3339.")] = None,
    reason: Annotated[str, typer.Option(help="Reason, shown by `mutes`.")] = "",
) -> None:
    """Suppress `raised` and `escalated` alerts of a user or cohort for a time, never `resolved`. Scoring continues."""
    now = datetime.now(UTC)
    if (lasting is None) == (until is None):
        raise typer.BadParameter("give either --for or --until")
    end = until or now + (lasting or timedelta())
    if end <= now:
        raise typer.BadParameter("the end time is in the past")
    from streams.drift import mutes

    new = mutes.Mute(mutes.Scope.COHORT if cohort else mutes.Scope.USER, name, now, end, reason)
    asyncio.run(_change_mutes(lambda known: mutes.with_mute(known, new), now))
    print(f"muted until {end:%Y-%m-%d %H:%M %Z}")


@alerts_app.command()
def unmute(name: Name, cohort: Cohort = False) -> None:
    """End a mute now."""
    from streams.drift import mutes

    now = datetime.now(UTC)
    scope = mutes.Scope.COHORT if cohort else mutes.Scope.USER
    asyncio.run(_change_mutes(lambda known: mutes.ended(known, scope, name, now), now))
    print("ended")


@alerts_app.command("mutes")
def list_mutes() -> None:
    """List mutes, with reasons and numbers of suppressed alerts; ended ones for ninety days."""
    from rich.console import Console
    from rich.table import Table

    from workers.service.terminal import cell

    table = Table("for", "name", "since", "until", "suppressed", "reason")
    for one in asyncio.run(_change_mutes(lambda known: known, datetime.now(UTC))):
        times = (f"{time:%Y-%m-%d %H:%M}" for time in (one.since, one.until))
        table.add_row(*map(cell, (one.scope, one.name, *times, one.withheld, one.reason)))
    Console().print(table)


async def _change_mutes(change: "Callable[[list[Mute]], list[Mute]]", now: datetime) -> "list[Mute]":
    """The mutes after a change, written by compare-and-set."""
    from streams.drift import mutes
    from streams.local.discover import connected
    from workers.state.redis_store import RedisStore

    def changed(_: str, data: bytes | None) -> "tuple[bytes, list[Mute]]":
        known = change(mutes.load(data))
        return mutes.dump(known, now), known

    settings = connected(load_settings())
    async with RedisStore.of(settings) as store:
        found = await store.update([MUTES.key()], changed, ttl_s=mutes.TTL_S)
    return found[MUTES.key()]

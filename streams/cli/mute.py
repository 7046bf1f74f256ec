"""`undertone alerts mute|mutes|unmute`: an operator's word that some users' alerts are not sent for a while."""

import asyncio
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from streams.mutes import MUTES_KEY, TTL_S, Mute, Scope, dump, ended, load, with_mute

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def _end(text: str) -> datetime:
    span = re.fullmatch(r"(\d+)([hdw])", text)
    if span:
        return datetime.now(UTC) + int(span[1]) * _UNITS[span[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("neither a moment such as 2026-05-01T08:30:00Z nor a span such as 7d") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


User = Annotated[str | None, typer.Option(help="The user.")]
Cohort = Annotated[str | None, typer.Option(help="All users whose id begins so.")]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(mute)
    app.command()(unmute)
    app.command()(mutes)


def mute(
    until: Annotated[datetime, typer.Option(parser=_end, help="RFC 3339 moment, or 8h, 7d, 2w from now.")],
    user: User = None,
    cohort: Cohort = None,
    reason: Annotated[str, typer.Option(help="Shown to whoever asks.")] = "",
) -> None:
    """Send no alerts of a user or a cohort until a moment; their scores are followed all the same."""
    scope, name = _named(user, cohort)
    new = Mute(scope, name, datetime.now(UTC), until, reason)
    asyncio.run(_changed(lambda held: with_mute(held, new), new.since))
    print(_sentence(new, new.since))


def unmute(user: User = None, cohort: Cohort = None) -> None:
    """End the mutes of a user or a cohort now."""
    scope, name = _named(user, cohort)
    now = datetime.now(UTC)
    asyncio.run(_changed(lambda held: ended(held, scope, name, now), now))


def mutes(json_lines: Annotated[bool, typer.Option("--json", help="One JSON line a mute.")] = False) -> None:
    """List all mutes, those that ended in the last ninety days too, with the alerts each kept back."""
    from schemas.plain import to_json

    now = datetime.now(UTC)
    for one in asyncio.run(_held()):
        print(to_json(one) if json_lines else _sentence(one, now))


def _named(user: str | None, cohort: str | None) -> tuple[Scope, str]:
    if (user is None) == (cohort is None):
        raise typer.BadParameter("name either --user or --cohort")
    return (Scope.USER, user) if user is not None else (Scope.COHORT, str(cohort))


async def _changed(change: Callable[[list[Mute]], Iterable[Mute]], now: datetime) -> None:
    from schemas.settings import Settings
    from streams.redis_store import RedisStore
    from streams.system import connected

    def update(_: str, data: bytes | None) -> tuple[bytes, None]:
        return dump(change(load(data)), now), None

    async with RedisStore(connected(Settings.load()).redis_url or "") as store:
        await store.update([MUTES_KEY], update, ttl_s=TTL_S)


async def _held() -> list[Mute]:
    from schemas.settings import Settings
    from streams.redis_store import RedisStore
    from streams.system import connected

    async with RedisStore(connected(Settings.load()).redis_url or "") as store:
        return load((await store.read([MUTES_KEY]))[MUTES_KEY])


def _sentence(mute: Mute, now: datetime) -> str:
    state = "muted" if mute.since <= now < mute.until else "was muted"
    reason = f" ({mute.reason})" if mute.reason else ""
    span = f"from {mute.since:%Y-%m-%d %H:%M} to {mute.until:%Y-%m-%d %H:%M} UTC"
    return f"{mute.scope} {mute.name}: {state} {span}{reason}, {mute.withheld} alerts kept back"

"""`undertone scores` and `undertone user`: what became of memos."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Column, Printer, printer, progress, warn
from streams.terminal.arguments import past_since_moment, pseudonym

if TYPE_CHECKING:
    from schemas.codec import Codec
    from schemas.events import RiskScored
    from schemas.settings import Settings
    from streams.views.user import UserView

NEWEST = 20
SHOWN = 10
"""Scores of one user, and dead letters; JSON has all of them."""


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(scores)
    app.command()(user)


def scores(
    of: Annotated[
        str | None, typer.Option("--user", parser=pseudonym, metavar="USER", help="Only those of this user.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new scores, one line each.")] = False,
    from_start: Annotated[bool, typer.Option("--from-start", help="From the oldest score that is retained.")] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=past_since_moment,
            metavar="TIME",
            help="Written since this time: RFC 3339, or an age (90m, 12h, 3d, 2w).",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most scores of a table.")] = NEWEST,
    as_json: AsJson = False,
) -> None:
    """Show the newest scores, one per memo, the last scored first; with --follow each as it comes.

    The evidence names the markers that moved the score, strongest first, with what each adds to the score's logit and
    its distance from the user's baseline. `undertone user` shows what else is known of a user.
    """
    if from_start and since is not None:
        raise typer.BadParameter("give either --from-start or --since")
    start = datetime.fromtimestamp(0, UTC) if from_start else since
    output = printer(as_json)
    if follow:
        asyncio.run(_follow(of, start, output))
        return
    with progress(None, "reading risk.scored"):
        found = asyncio.run(_scores(of, start, limit))
    if not found:
        warn(f"no scores {'of this user ' if of else ''}on risk.scored{' in that time' if start else ''}")
        return
    output.table(found[:limit], _columns())
    if len(found) > limit:
        output.note(f"the {limit} newest scores; --limit shows more")


def user(
    user_id: Annotated[str, typer.Argument(metavar="USER", parser=pseudonym, help="Pseudonym of the user.")],
    as_json: AsJson = False,
) -> None:
    """Show one user: last scores, baseline, drift, open episodes, mutes, what is awaited, and dead letters."""
    with progress(None, "reading the topics"):
        view = asyncio.run(_user(user_id))
    if not view.known:
        warn("nothing is known of this user: no memo, score, dead letter or state; check the pseudonym")
        raise typer.Exit(ExitCode.FAILED)
    output = printer(as_json)
    if as_json:
        output.lines([view], str)
    else:
        _print_user(view, output)


def _columns() -> "list[Column[RiskScored]]":
    from streams.views.scores import evidence_text, probability_text

    return [
        Column("recorded", lambda score: f"{score.recorded_at:%Y-%m-%d %H:%M}"),
        Column("user", lambda score: score.user_id),
        Column("band", lambda score: score.band),
        Column("prob.", probability_text, right=True),
        Column("reasons", lambda score: ", ".join(score.reasons)),
        Column("evidence: adds to the logit (SDs from baseline)", evidence_text),
    ]


async def _scores(of: str | None, start: datetime | None, limit: int) -> "list[RiskScored]":
    """The last score of each memo, newest first."""
    from streams.views.reading import newest_scores, scores_of, scores_since
    from streams.views.scores import latest_of_memos

    settings, codec = _connected(redis=False)
    if start is None:
        if of is None:
            return latest_of_memos(await newest_scores(settings, codec, limit))[: limit + 1]
        return latest_of_memos(await scores_of(settings, codec, of))
    kept = [score async for score in scores_since(settings, codec, start) if of in (None, score.user_id)]
    return latest_of_memos(kept)


async def _follow(of: str | None, start: datetime | None, output: Printer) -> None:
    from streams.views.scores import sentence

    settings, codec = _connected(redis=False)
    with progress(None, "waiting for new scores; Ctrl-C ends"):
        async for score in _as_they_come(settings, codec, start):
            if of in (None, score.user_id):
                output.lines([score], sentence)


async def _as_they_come(settings: "Settings", codec: "Codec", start: datetime | None) -> "AsyncIterator[RiskScored]":
    """New scores, without end; with `start` those since then come first."""
    from schemas import topics
    from schemas.events import RiskScored
    from workers.kafka.topic_reader import follow

    async for score in follow(settings, codec, topics.SCORED, RiskScored, from_start=start is not None, once=False):
        if start is None or score.scored_at >= start:
            yield score


async def _user(user_id: str) -> "UserView":
    from streams.drift.rules import Rules
    from streams.views.reading import known_of
    from streams.views.user import view_of

    settings, codec = _connected()
    known = await known_of(settings, codec, user_id)
    return view_of(user_id, known, settings.modalities, Rules.from_settings(settings), codec, datetime.now(UTC))


def _connected(*, redis: bool = True) -> "tuple[Settings, Codec]":
    from schemas.schema_registry import make_codec
    from streams.local.discover import connected

    settings = connected(load_settings(), redis=redis)
    return settings, make_codec(settings)


def _print_user(view: "UserView", output: Printer) -> None:
    from streams.views.user_lines import lines_of

    output.fields(dict(lines_of(view)))
    if view.scores:
        output.note("")
        output.table(view.scores[:SHOWN], [column for column in _columns() if column.heading != "user"])
    if len(view.scores) > SHOWN:
        output.note(f"the {SHOWN} newest of {len(view.scores)} scores; `undertone scores --user` shows more")

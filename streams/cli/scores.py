"""`undertone scores` and `undertone user`: what became of memos."""

import asyncio
from collections.abc import AsyncIterator, Iterator
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
    from streams.drift.mutes import Mute
    from streams.views.user import Awaited, FailedMemo, OpenEpisode, UserView

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
    output.fields(dict(_lines(view)))
    if view.scores:
        output.note("")
        output.table(view.scores[:SHOWN], [column for column in _columns() if column.heading != "user"])
    if len(view.scores) > SHOWN:
        output.note(f"the {SHOWN} newest of {len(view.scores)} scores; `undertone scores --user` shows more")


def _lines(view: "UserView") -> "Iterator[tuple[str, str]]":
    """What is known in words, by heading."""
    from streams.views.marks import mark_of, silence_sentence
    from streams.views.speaking import left_out_sentence, speaking_sentence
    from streams.views.user import state_sentence

    silence = silence_sentence([mark_of(score) for score in view.scores])

    yield "user", view.user_id
    yield "last memo", "none" if view.last_memo_at is None else f"recorded {_time(view.last_memo_at)}"
    yield "scored", f"{len(view.scores)} memos" + (f"; {silence}" if silence else "")
    yield "baseline", _baseline(view)
    yield "drift", state_sentence(view.drift)
    episodes = () if view.drift is None else view.drift.episodes
    yield "open episode", "; ".join(map(_episode, episodes)) or "none"
    yield "speaks", speaking_sentence(view.speaking)
    if view.left_out:
        yield "left out", left_out_sentence(view.left_out)
    yield "muted", "; ".join(map(_mute, view.mutes)) or "no"
    yield "awaited", "; ".join(map(_awaited, view.awaited)) or "nothing"
    letters = "; ".join(map(_letter, view.dead_letters[:SHOWN]))
    yield "dead letters", (f"{len(view.dead_letters)}: {letters}" if letters else "none")
    for number, note in enumerate(view.notes, 1):
        yield f"note {number}", note


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _baseline(view: "UserView") -> str:
    if view.baseline is None:
        return "none yet: the next memo is compared with the population"
    return f"{view.baseline.memos} memos, bundle {view.baseline.bundle_id}"


def _episode(episode: "OpenEpisode") -> str:
    since = "" if episode.changed_since is None else f", change since about {episode.changed_since:%Y-%m-%d}"
    escalated = ", escalated" if episode.escalated else ""
    return f"{episode.kind} since {_time(episode.opened_at)}{escalated}{since}"


def _mute(mute: "Mute") -> str:
    by, why = (f" by {mute.by}" if mute.by else ""), (f": {mute.reason}" if mute.reason else "")
    return f"{mute.scope} {mute.name} until {_time(mute.until)}{by}{why}"


def _awaited(memo: "Awaited") -> str:
    missing = ", ".join(memo.missing) or "its score"
    return f"memo {memo.memo_id} of {_time(memo.recorded_at)}: {missing}" + (" (scored without)" * memo.provisional)


def _letter(letter: "FailedMemo") -> str:
    return f"{_time(letter.at)} {letter.reason} at {letter.stage}" + (" (scored since)" * letter.scored)

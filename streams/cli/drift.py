"""`undertone drift`: calibrate, replay, plot."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from schemas.events import RiskAlert
    from schemas.settings import Settings
    from streams.drift.replay import Line
    from streams.drift.rules import Rules

drift_app = typer.Typer(help="Drift: thresholds, back-tests and pictures.", no_args_is_help=True)

AlertsPerYear = Annotated[
    float | None, typer.Option(help="False alerts a user-year that you can afford; else the setting, 1.")
]
MemosPerDay = Annotated[float | None, typer.Option(help="Memos a day of a usual user; else the setting, 1.")]
Autocorrelation = Annotated[
    float | None,
    typer.Option(
        help="Of one memo's score with the next, if it was measured; the false-alarm budget holds up to 0.5 without it."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.add_typer(drift_app, name="drift")


@drift_app.command()
def calibrate(
    alerts_per_user_year: AlertsPerYear = None,
    memos_per_day: MemosPerDay = None,
    autocorrelation: Autocorrelation = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the threshold for a number of false alerts, and how soon a change is then found.

    Read from the shipped table, which the agent reads too; the errors are those of the simulation that made it.
    """
    from schemas.json_records import to_json
    from streams.drift.thresholds import threshold_report

    settings = _settings(alerts_per_user_year, memos_per_day, autocorrelation)
    kept = threshold_report(settings.alerts_per_user_year, settings.memos_per_day, settings.autocorrelation)
    if as_json:
        print(to_json(kept))
        return
    print(f"{kept.alerts_per_user_year:g} false alerts a user-year at {kept.memos_per_day:g} memos a day")
    print(f"threshold: {kept.threshold:.3f} SD (higher while a user's baseline is young)")
    for one in kept.conditions:
        rate, run = one.false_alerts_per_user_year, one.in_control_run
        print(f"\nwhere neighbouring memos correlate by {one.autocorrelation:g}:")
        print(f"  false alerts a user-year  {rate.value:7.2f} ± {rate.error:.2f}")
        print(f"  in-control ARL            {run.value:7.0f} ± {run.error:.0f} memos")
        for delay in one.delays:
            mean = f"{delay.mean_memos.value:7.1f} ± {delay.mean_memos.error:.1f} memos"
            print(f"  delay for {delay.shift:3.1f} SD          {mean}, median {delay.median_memos:.0f},", end=" ")
            print(f"{delay.within_30:.0%} within 30")
    print(
        "\n± one standard error of the simulation; delays: after 60 calm days, cut off at 100 memos, at least 40 days"
    )


@drift_app.command()
def replay(
    alerts_per_user_year: AlertsPerYear = None,
    memos_per_day: MemosPerDay = None,
    autocorrelation: Autocorrelation = None,
) -> None:
    """Follow scores from lines of JSON on standard input with the agent's own code; alerts as lines of JSON, by time.

    A line: `{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.31}`; `band`,
    `bundle_id` and `uploaded_at` where known. Sorted, or out of order within the reorder window; what comes later is
    counted on standard error. A line that is no score is named there, the others are followed all the same, and the
    exit code is 1.
    """
    from schemas.json_records import to_json
    from streams.drift.replay import Replay, followed

    faults: list[int] = []
    course = Replay(_rules(alerts_per_user_year, memos_per_day, autocorrelation))
    for alert in followed(_lines(sys.stdin.buffer, faults), course):
        print(to_json(alert))
    if course.left_out:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(course.left_out.items()))
        print(f"left out: {counts}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)


@drift_app.command()
def plot(
    user: Annotated[str, typer.Option(help="Whose history.")],
    scores: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(help="Lines of scores, as `replay` reads them; else the topic and Redis."),
    ] = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("drift.png"),
    alerts_per_user_year: AlertsPerYear = None,
    memos_per_day: MemosPerDay = None,
    autocorrelation: Autocorrelation = None,
) -> None:
    """Draw one user's history: scores, baseline, statistic, threshold, alerts.

    From the topics, the history reaches back as far as they keep scores (30 days unless changed), and the chart is
    drawn as it would stand had the user begun there; what Redis holds now stands beside it, and the alerts are those
    that were published. From a file, the alerts are those of a replay.
    """
    from streams.drift.plot import draw
    from streams.drift.replay import history

    faults: list[int] = []
    rules = _rules(alerts_per_user_year, memos_per_day, autocorrelation)
    if scores:
        live = Live([line for line in _lines(scores, faults) if line.user_id == user], rules)
    else:
        live = asyncio.run(_live(user, rules))
    told = history(live.lines, live.rules)
    if not told:
        print("no score of this user there", file=sys.stderr)
        raise typer.Exit(1)
    draw(out, told, live.alerts, live.note)
    print(*filter(None, (live.note, out)), sep="\n")


class Live(NamedTuple):
    """What there is to draw of one user. alerts: those that were published; None where only a replay can tell them."""

    lines: "list[Line]"
    rules: "Rules"
    alerts: "list[RiskAlert] | None" = None
    note: str = ""


def _lines(texts: Iterable[bytes], faults: list[int]) -> "Iterator[Line]":
    """The scores in lines of text; the numbers of those that are none go to `faults`."""
    from schemas.errors import Poison
    from streams.drift.replay import parse

    for number, text in enumerate(texts, 1):
        if not text.isspace():
            try:
                yield parse(text)
            except Poison as poison:
                faults.append(number)
                print(f"line {number}: {poison.detail}", file=sys.stderr)


async def _live(user: str, rules: "Rules") -> Live:
    """The user's scores and alerts in the topics, the rules that the user is judged by, and what the state says."""
    from schemas import topics
    from schemas.events import RiskAlert, RiskScored
    from schemas.schema_registry import make_codec
    from schemas.settings import Settings
    from schemas.state_keys import DRIFT
    from streams.drift.replay import line_of
    from streams.drift.user_state import in_words, prior_of
    from streams.local.discover import connected
    from workers.kafka.topic_reader import follow
    from workers.state.redis_client import redis_access
    from workers.state.redis_store import RedisStore

    settings = connected(Settings.load())
    codec = make_codec(settings)
    scored = follow(settings, codec, topics.SCORED, RiskScored, from_start=True, once=True)
    lines = [line_of(score) async for score in scored if score.user_id == user]
    alerted = follow(settings, codec, topics.ALERTS, RiskAlert, from_start=True, once=True)
    alerts = {alert.alert_id: alert async for alert in alerted if alert.user_id == user}
    async with RedisStore(settings.redis_url or "", redis_access(settings)) as store:
        key = DRIFT.key(user)
        state = (await store.read([key]))[key]
        if state is not None:
            rules = rules._replace(chart=rules.chart._replace(phi=prior_of(state)))
        return Live(lines, rules, list(alerts.values()), in_words(state, rules))


def _settings(*asked: float | None) -> "Settings":
    from schemas.settings import Settings

    names = ("alerts_per_user_year", "memos_per_day", "autocorrelation")
    return Settings.load(**{name: value for name, value in zip(names, asked, strict=True) if value is not None})


def _rules(*asked: float | None) -> "Rules":
    from streams.drift.rules import Rules

    return Rules.from_settings(_settings(*asked))

"""`undertone drift`: calibrate, replay, plot."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from schemas.errors import ExitCode
from streams.cli.load_settings import load_settings
from streams.cli.printing import AsJson, Column, fail, printer, progress, warn
from streams.terminal.arguments import plot_file, positive, pseudonym
from streams.terminal.files import writing

if TYPE_CHECKING:
    from schemas.events import RiskAlert
    from schemas.settings import Settings
    from streams.drift.replay import Line
    from streams.drift.rules import Rules
    from streams.drift.thresholds import Condition, Delay, Estimate
    from streams.terminal.json_lines import DriftPlot
    from streams.views.marks import Mark

drift_app = typer.Typer(help="Drift detection: thresholds, back-tests and plots.", no_args_is_help=True)

AlertsPerYear = Annotated[
    float | None,
    typer.Option(
        parser=positive,
        metavar="NUMBER",
        help="False alerts per user and year that you accept. Default: the setting (1).",
    ),
]
MemosPerDay = Annotated[
    float | None,
    typer.Option(parser=positive, metavar="NUMBER", help="Memos per day of a usual user. Default: the setting (1)."),
]
Autocorrelation = Annotated[
    float | None,
    typer.Option(
        min=0, max=0.5, help="Of one memo's score with the next, if measured. Default: any up to 0.5 is allowed for."
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
    as_json: AsJson = False,
) -> None:
    """Show the threshold for a false-alarm budget, and the delay until a change is found.

    The values are from the shipped table, which the agent uses too; the errors are those of its simulation. The
    budget is kept by the upper confidence bound of the rate, at every autocorrelation shown.
    """
    from streams.drift.thresholds import threshold_report

    settings = _settings(alerts_per_user_year, memos_per_day, autocorrelation)
    kept = threshold_report(settings.alerts_per_user_year, settings.memos_per_day, settings.autocorrelation)
    output = printer(as_json)
    output.data(kept)
    output.note(f"{kept.alerts_per_user_year:g} false alerts a user-year at {kept.memos_per_day:g} memos a day")
    output.note(f"threshold: {kept.threshold:.3f} SD (higher while a user's baseline is young)")
    output.note(kept.guarantee)
    output.note("")
    output.view(kept.conditions, RATES)
    output.note("")
    output.view([(one, delay) for one in kept.conditions for delay in one.delays], DELAYS)
    output.note("")
    output.note("± one standard error of the simulation; correlation: of a memo's score with the next one's;")
    output.note("delays: after 60 calm days, cut off at 100 memos, at least 40 days")


RATES: "tuple[Column[Condition], ...]" = (
    Column("correlation", lambda one: f"{one.autocorrelation:g}", right=True),
    Column("false alerts a user-year", lambda one: _estimate(one.false_alerts_per_user_year, 3), right=True),
    Column("95 % confidence", lambda one: f"≤ {one.at_most:.3f}", right=True),
    Column("in-control ARL (memos)", lambda one: _estimate(one.in_control_run, 0), right=True),
)
DELAYS: "tuple[Column[tuple[Condition, Delay]], ...]" = (
    Column("correlation", lambda row: f"{row[0].autocorrelation:g}", right=True),
    Column("shift (SD)", lambda row: f"{row[1].shift:g}", right=True),
    Column("mean delay (memos)", lambda row: _estimate(row[1].mean_memos, 1), right=True),
    Column("median", lambda row: f"{row[1].median_memos:.0f}", right=True),
    Column("within 30", lambda row: f"{row[1].within_30:.0%}", right=True),
)


def _estimate(value: "Estimate", digits: int) -> str:
    return f"{value.value:.{digits}f} ± {value.error:.{digits}f}"


@drift_app.command()
def replay(
    alerts_per_user_year: AlertsPerYear = None,
    memos_per_day: MemosPerDay = None,
    autocorrelation: Autocorrelation = None,
    any_order: Annotated[
        bool,
        typer.Option(
            "--any-order", help="The lines are in no order of arrival: take each user's as if they had come by time."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Accepted; alerts are JSON lines without it, too.")] = False,
) -> None:
    """Run the drift agent's code on scores from JSON lines on standard input; print alerts as JSON lines, by time.

    A line: `{"user_id": "u", "memo_id": "m", "recorded_at": "2026-05-01T08:30:00Z", "probability": 0.31}`; `band`,
    `bundle_id`, `uploaded_at` and `arrived_at` (Kafka's timestamp) where known. The order of the lines is the order of
    arrival, and gives the agent's alerts. Scores that the agent would ignore, such as late ones and those whose clock
    was ahead, are counted on standard error. Invalid lines are reported there, the others are processed, and the exit
    code is 1.

    With `--any-order`, lines may be out of order within the reorder window, and the alerts are those of sorted lines:
    no agent got them so, and it may have raised others.
    """
    from streams.drift.replay import ArrivalReplay, Replay, followed

    faults: list[int] = []
    rules = _rules(alerts_per_user_year, memos_per_day, autocorrelation)
    course = Replay(rules) if any_order else ArrivalReplay(rules)
    for alert in followed(_lines(sys.stdin.buffer, faults), course):
        printer(as_json=True).data(alert)
    if course.left_out:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(course.left_out.items()))
        warn(f"ignored: {counts}")
    if faults:
        raise typer.Exit(ExitCode.FAILED)


@drift_app.command()
def plot(
    user: Annotated[str, typer.Option(parser=pseudonym, metavar="USER", help="Pseudonym of the user.")],
    scores: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(help="JSON lines, as for `replay`. Default: the topics and Redis."),
    ] = None,
    out: Annotated[Path, typer.Option(parser=plot_file, metavar="FILE", help="PNG to write.")] = Path("drift.png"),
    alerts_per_user_year: AlertsPerYear = None,
    memos_per_day: MemosPerDay = None,
    autocorrelation: Autocorrelation = None,
    as_json: AsJson = False,
) -> None:
    """Plot one user's history: scores, baseline, statistic, threshold, alerts, and memos that were not judged.

    The score is a probability; the statistic and its threshold have a panel of their own. Where no memo was judged the
    lines end and the plot is hatched, up to now for a user on the topics.

    From the topics, the plot covers the retention of scores (30 days by default) as if the user started there, with
    the state in Redis as a note and the published alerts. From a file, the alerts are those of a replay.
    """
    from streams.drift.replay import history
    from streams.views.marks import latest_marks, silence_sentence

    faults: list[int] = []
    rules = _rules(alerts_per_user_year, memos_per_day, autocorrelation)
    with progress(None, "reading memos"):
        shown = _from_file(scores, faults, user, rules) if scores else asyncio.run(_live(user, rules))
    if not shown.marks:
        fail("no memos of this user were found: check the pseudonym and the retention of the topics", ExitCode.FAILED)
    from streams.views.drift_plot import draw

    with writing(out):
        draw(out, history(shown.lines, shown.rules), shown.marks, shown.alerts, shown.note, shown.until)
    marks = latest_marks(shown.marks)
    judged = Counter(mark.judged.value for mark in marks)
    plotted: DriftPlot = {
        "plot": str(out),
        "memos": len(marks),
        "judged": judged,
        "silence": silence_sentence(marks),
        "state": shown.note,
    }
    printer(as_json).lines([plotted], _plotted)


def _plotted(plotted: "DriftPlot") -> str:
    lines = (plotted["state"], plotted["silence"], plotted["plot"])
    return "; ".join(str(line) for line in lines if line)


class Shown(NamedTuple):
    """What there is to plot of one user. alerts: those published; None where only a replay can derive them.

    until: the end of the time axis; None for the last memo.
    """

    lines: "list[Line]"
    marks: "list[Mark]"
    rules: "Rules"
    alerts: "list[RiskAlert] | None" = None
    note: str = ""
    until: datetime | None = None


def _from_file(texts: Iterable[bytes], faults: list[int], user: str, rules: "Rules") -> Shown:
    from streams.views.marks import mark_of_line

    found = [(text, line) for text, line in _parsed(texts, faults) if line.user_id == user]
    return Shown([line for _, line in found], [mark_of_line(text, line) for text, line in found], rules)


def _lines(texts: Iterable[bytes], faults: list[int]) -> "Iterator[Line]":
    """The scores in lines of text; the numbers of invalid lines go to `faults`."""
    return (line for _, line in _parsed(texts, faults))


def _parsed(texts: Iterable[bytes], faults: list[int]) -> "Iterator[tuple[bytes, Line]]":
    """Each line that is a score, as text and parsed."""
    from schemas.errors import Poison
    from streams.drift.replay import parse

    for number, text in enumerate(texts, 1):
        if not text.isspace():
            try:
                yield text, parse(text)
            except Poison as poison:
                faults.append(number)
                warn(f"line {number}: {poison.detail}")


async def _live(user: str, rules: "Rules") -> Shown:
    """The user's memos and alerts on the topics, the rules for the user, and the state in Redis."""
    from schemas.errors import UnreadableState
    from schemas.schema_registry import make_codec
    from streams.drift.replay import line_of
    from streams.drift.user_state import prior_of
    from streams.local.discover import connected
    from streams.views.marks import mark_of, mark_of_letter
    from streams.views.outcomes import recorded_memo
    from streams.views.reading import past_of
    from streams.views.user import drift_of, state_sentence

    settings, now = connected(load_settings()), datetime.now(UTC)
    codec = make_codec(settings)
    past = await past_of(settings, codec, user)
    if past.state is not None:
        with suppress(UnreadableState):
            rules = rules._replace(chart=rules.chart._replace(phi=prior_of(past.state)))
    notes: list[str] = []
    drift = drift_of(past.state, rules, notes)
    failed = [(memo, letter) for letter in past.letters if (memo := recorded_memo(letter, codec)) is not None]
    scored = {score.memo_id for score in past.scores}
    marks = [mark_of_letter(memo, letter) for memo, letter in failed if memo.memo_id not in scored]
    marks += [mark_of(score) for score in past.scores]
    note = "; ".join(notes) or state_sentence(drift)
    return Shown([line_of(score) for score in past.scores], marks, rules, past.alerts, note, now)


def _settings(*asked: float | None) -> "Settings":
    names = ("alerts_per_user_year", "memos_per_day", "autocorrelation")
    return load_settings(**{name: value for name, value in zip(names, asked, strict=True) if value is not None})


def _rules(*asked: float | None) -> "Rules":
    from streams.drift.rules import Rules

    return Rules.from_settings(_settings(*asked))

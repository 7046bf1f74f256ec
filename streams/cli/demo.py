"""`undertone demo`: an end-to-end run with simulated users."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ExitCode
from schemas.events import AlertState, Band
from streams.cli.load_settings import load_settings
from streams.cli.printing import printer, warn
from streams.terminal.arguments import plot_file
from streams.terminal.files import writing

if TYPE_CHECKING:
    from rich.table import Table

    from schemas.settings import Settings
    from streams.local.demo import DemoRun

PLOT = Path(".undertone/demo.png")
ALERTS_PER_USER_YEAR = 0.2
"""False-alarm budget of a small clinic: one false alert per user in five years; changes are found a day later."""
WIDTH = 80
"""Columns of the tables."""
SHOWN_SCORES = 16
"""Latest scores of a user in the live table."""
KEPT = ("UNDERTONE_BUNDLE",)
"""The one setting of the environment that the demo obeys: the model to show."""
NAMED = 4
"""Ignored settings that are named."""
QUIET_EVERY_S = 10.0
"""Seconds between two lines of progress without a terminal."""


def add_to(app: typer.Typer) -> None:
    """Mount the commands of this module."""
    app.command()(demo)


def demo(
    plot: Annotated[
        Path,
        typer.Option("--picture", parser=plot_file, metavar="FILE", help="File for the plot of scores and alerts."),
    ] = PLOT,
) -> None:
    """Run an end-to-end demo: six simulated users, seven weeks of memos, and the alerts that follow.

    The demo runs by itself, on an embedded broker and store in a temporary folder. Of the settings in the environment
    it obeys `UNDERTONE_BUNDLE` alone: it never connects to your Kafka, Redis, registry or receivers.
    """
    from streams.local.demo import new_run
    from streams.local.hidden_settings import settings_hidden

    began = time.monotonic()
    run = new_run()
    with tempfile.TemporaryDirectory(prefix="undertone-demo-") as home, settings_hidden(KEPT) as ignored:
        if ignored:
            warn(ignored_line(ignored))
        try:
            _play(load_settings(home=Path(home), alerts_per_user_year=ALERTS_PER_USER_YEAR), run, began)
        except asyncio.CancelledError:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    with writing(plot):
        _draw(run, plot)
    output = printer(as_json=False)
    for line in (*alert_lines(run), f"plot: {plot}", run.summary(time.monotonic() - began)):
        output.note(line)


def ignored_line(names: Sequence[str]) -> str:
    """One sentence that names the settings which the demo ignores.

    >>> ignored_line(["KAFKA_BOOTSTRAP", "REDIS_URL"])
    'the demo runs embedded and ignores these settings: KAFKA_BOOTSTRAP, REDIS_URL'
    """
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"the demo runs embedded and ignores these settings: {', '.join(names[:NAMED])}{more}"


def _play(settings: "Settings", run: "DemoRun", began: float) -> None:
    from rich.console import Console
    from rich.live import Live

    from streams.local.demo import play

    console = Console()
    if not console.is_terminal:
        asyncio.run(play(settings, run, _Lines(run, began).show))
        return
    with Live(_table(run, began), console=console, refresh_per_second=4) as live:
        asyncio.run(play(settings, run, lambda: live.update(_table(run, began))))


class _Lines:
    """Progress for logs: a line every few seconds, and at once when another wait begins."""

    def __init__(self, run: "DemoRun", began: float) -> None:
        self._run, self._began = run, began
        self._last, self._activity = -inf, ""

    def show(self) -> None:
        activity = self._run.activity()
        changed = activity != self._activity and not self._run.scores
        if changed or time.monotonic() - self._last >= QUIET_EVERY_S:
            self._last, self._activity = time.monotonic(), activity
            printer(as_json=False).note(f"{_progress(self._run, self._began)}; {activity}")


def _progress(run: "DemoRun", began: float) -> str:
    return (
        f"{time.monotonic() - began:4.0f} s: {run.submitted} of {run.memos} memos submitted, "
        f"{len(run.scores)} scored, {len(run.alerts)} alerts, {len(run.dead)} dead letters"
    )


def _table(run: "DemoRun", began: float) -> "Table":
    """Every user's scores and newest alerts, within WIDTH columns."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        "user",
        "memos",
        "last score",
        "scores",
        "alerts",
        title=_progress(run, began),
        box=SIMPLE,
        caption=run.activity(),
    )
    for user in run.users:
        scores = sorted((s for s in run.scores.values() if s.user_id == user.user_id), key=lambda s: s.recorded_at)
        known = [s.probability for s in scores if s.probability is not None]
        alerts = sorted((a for a in run.alerts.values() if a.user_id == user.user_id), key=lambda a: a.at)
        newest = {alert.kind: alert for alert in alerts}
        table.add_row(
            user.user_id,
            f"{len(scores)}/{len(user.memos)}",
            f"{known[-1]:.2f} {'' if scores[-1].band is Band.INDETERMINATE else scores[-1].band}" if known else "",
            "".join("▁▂▃▄▅▆▇█"[min(int(p * 8), 7)] for p in known[-SHOWN_SCORES:]),
            "\n".join(f"[{_COLOURS[a.state]}]{a.kind} {a.state} {a.at:%d %b}[/]" for a in newest.values()),
        )
    return table


_COLOURS = {AlertState.RAISED: "red", AlertState.ESCALATED: "bold red", AlertState.RESOLVED: "green"}


def alert_lines(run: "DemoRun") -> list[str]:
    """One line per alert, within WIDTH columns: day, kind, state, user, and the evidence of the memo, in SDs."""
    lines = [f"{'day':<10}  {'alert':<15}  {'user':<12}  evidence (SDs from baseline)"]
    for alert in sorted(run.alerts.values(), key=lambda a: (a.at, a.user_id, a.kind)):
        score = next((s for s in run.scores.values() if (s.user_id, s.memo_id) == (alert.user_id, alert.memo_id)), None)
        line = f"{alert.at:%Y-%m-%d}  {f'{alert.kind} {alert.state}':<15}  {alert.user_id:<12}"
        for number, each in enumerate(() if score is None else score.evidence):
            more = f"{',' if number else ' '} {each.name} {each.deviation_sd:+.1f}"
            if len(line) + len(more) > WIDTH:
                break
            line += more
        lines.append(line)
    return lines


def _draw(run: "DemoRun", plot: Path) -> None:
    from streams.views.demo_plot import draw

    titles = {user.user_id: f"{user.user_id} ({user.course} in the script)" for user in run.users}
    draw(plot, titles, run.marks(), list(run.alerts.values()), run.heading())

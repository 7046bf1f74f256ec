"""`undertone demo`: an end-to-end run with simulated users."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
from streams.views.scores import marker_text

if TYPE_CHECKING:
    from rich.table import Table

    from streams.local.dashboard import Dashboard
    from streams.local.demo import DemoRun
    from streams.local.system import System

PLOT = Path(".undertone/demo.png")
ALERTS_PER_USER_YEAR = 0.2
"""False-alarm budget of a small clinic: one false alert per user in five years; changes are found a day later."""
WIDTH = 80
"""Columns of the tables."""
SHOWN_SCORES = 16
"""Latest scores of a user in the live table."""
KEPT = ("UNDERTONE_BUNDLE", "UNDERTONE_SEAL")
"""Settings of the environment that the demo obeys: the model to show, and whether data at rest is sealed."""
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
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep the dashboard up after the last memo, until Ctrl-C.")
    ] = False,
) -> None:
    """Run an end-to-end demo: six simulated users, seven weeks of memos, and the alerts that follow.

    The first line is the address of its dashboard, which shows the memos as they come. Where Chromium is installed,
    screenshots of the dashboard are saved next to the plot.

    The demo runs by itself, on an embedded broker and store in a temporary folder, and data is sealed as it is by
    `undertone up`. Of the settings in the environment it obeys `UNDERTONE_BUNDLE` and `UNDERTONE_SEAL` alone: it never
    connects to your Kafka, Redis, registry or receivers.
    """
    from streams.local.demo import new_run
    from streams.local.hidden_settings import settings_hidden
    from streams.local.system import System

    began = time.monotonic()
    run = new_run(datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="undertone-demo-") as home, settings_hidden(KEPT) as ignored:
        if ignored:
            warn(ignored_line(ignored))
        try:
            system = System(load_settings(home=Path(home), alerts_per_user_year=ALERTS_PER_USER_YEAR))
            stays_up = serve and system.dashboard is not None
            _play(system, _Demo(run, system, plot, began, stays_up))
        except asyncio.CancelledError:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not stays_up:
        # The last line, after what the roles log when they end.
        printer(as_json=False).note(run.summary(time.monotonic() - began))


def ignored_line(names: Sequence[str]) -> str:
    """One sentence that names the settings which the demo ignores.

    >>> ignored_line(["KAFKA_BOOTSTRAP", "REDIS_URL"])
    'the demo runs embedded and ignores these settings: KAFKA_BOOTSTRAP, REDIS_URL'
    """
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"the demo runs embedded and ignores these settings: {', '.join(names[:NAMED])}{more}"


@dataclass(frozen=True, slots=True)
class _Demo:
    """One demo and what it leaves: its plot, screenshots, and lines."""

    run: "DemoRun"
    system: "System"
    plot: Path
    began: float
    stays_up: bool

    async def finish(self) -> None:
        """Draw and print while the dashboard still answers; where it stays up, return when it is interrupted."""
        from streams.local.screenshots import browser

        with writing(self.plot):
            await asyncio.to_thread(_draw, self.run, self.plot)
        program, output = browser(), printer(as_json=False)
        saved = [] if program is None else await self._screenshots(program)
        lines = (*alert_lines(self.run), f"plot: {self.plot}", *(f"screenshot: {path}" for path in saved))
        for line in lines:
            output.note(line)
        if self.stays_up and self.system.dashboard is not None:
            output.note(self.run.summary(time.monotonic() - self.began))
            output.note(f"dashboard: {self.system.dashboard.address} stays up; Ctrl-C ends it")
            await _until_interrupted()

    async def _screenshots(self, program: str) -> list[Path]:
        """Those of the caseload and of the first user, who changed, that could be made."""
        from streams.local.screenshots import save_screenshot, shows

        if self.system.dashboard is None:
            return []
        address, user = self.system.dashboard.address, self.run.users[0].user_id
        await shows(address, user, sum(score.user_id == user for score in self.run.scores.values()))
        pages = {"caseload": "/", "person": f"/people/{user}"}
        files = {name: self.plot.with_name(f"{self.plot.stem}-{name}.png") for name in pages}
        return [files[name] for name in pages if await save_screenshot(program, address + pages[name], files[name])]


async def _until_interrupted() -> None:
    """Return when the task is cancelled, which is what a signal does: here that is the end that was asked for."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


def _play(system: "System", demo: _Demo) -> None:
    from rich.console import Console
    from rich.live import Live

    from streams.local.demo import play

    run, began, console = demo.run, demo.began, Console()
    printer(as_json=False).note(dashboard_line(system.dashboard))
    if not console.is_terminal:
        asyncio.run(play(system, run, _Lines(run, began).show, demo.finish))
        return
    with Live(_table(run, began), console=console, refresh_per_second=4) as live:

        async def finish() -> None:
            live.stop()
            await demo.finish()

        asyncio.run(play(system, run, lambda: live.update(_table(run, began)), finish))


def dashboard_line(dashboard: "Dashboard | None") -> str:
    """The first line of the demo: where to look."""
    from streams.local.dashboard import INSTALL

    if dashboard is None:
        return f"no dashboard: its packages are not installed; {INSTALL}"
    return f"dashboard: {dashboard.address}"


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
    """One line per alert, within WIDTH columns: day, kind, state, user, and the evidence of its episode."""
    lines = [f"{'day':<10}  {'alert':<15}  {'user':<12}  evidence: logit (SDs from baseline)"]
    for alert in sorted(run.alerts.values(), key=lambda a: (a.at, a.user_id, a.kind)):
        line = f"{alert.at:%Y-%m-%d}  {f'{alert.kind} {alert.state}':<15}  {alert.user_id:<12}"
        for number, each in enumerate(alert.evidence):
            more = f"{',' if number else ' '} {marker_text(each)}"
            if len(line) + len(more) > WIDTH:
                break
            line += more
        lines.append(line)
    return lines


def _draw(run: "DemoRun", plot: Path) -> None:
    from streams.views.demo_plot import draw

    titles = {user.user_id: f"{user.user_id} ({user.course} in the script)" for user in run.users}
    draw(plot, titles, run.marks(), list(run.alerts.values()), run.heading())

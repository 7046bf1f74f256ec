"""Drift against River's detectors and against the bound: `python -m tests.benchmarks.drift` writes results/drift.md.

Every detector is tuned, by search, to the same false alarms on calm data of the same kind, one a user-year, and then
meets the same changes. A delay counts the memos from the change to the alarm; users not found within 60 memos count 60.
Then each is used as its users do, with a parameter of its own: what that gives, and what an update costs.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streams.drift.thresholds import threshold_for
from tests.benchmarks.drift_detectors import Detector, detectors
from tests.benchmarks.drift_parameters import as_shipped, costs
from tests.benchmarks.drift_trials import KINDS, SHIFT, WATCH, Cell, Kind, cell, rate, tuned
from tests.benchmarks.machine import provenance

RESULTS = Path(__file__).parent / "results"
BASELINES = (14, 30, 60)
CHANGES = ("step", "ramp")
OURS, GIVEN, BOUND = "Undertone", "Undertone, given φ", "known-parameter CUSUM"

WHAT = """
Mean memos from a change to the alarm ± 95 % confidence (share found within 30 memos); users not found within 60 memos
count 60. Every detector is tuned by search to one false alarm a user-year, over the year after the first 7 memos, on
calm data of the same kind, which includes the autocorrelation; Undertone learns it from each user all the same, and
"given φ" is what that costs. Its alarms are alerts raised and escalated; a user whose false alert is still open at the
change, and does not escalate, counts as not found. The step is 1 SD of the user's own scores, the ramp 1.5 SD over
four weeks. Mean and SD differ between users, as they do in life, unless a section says that all are alike. The
known-parameter CUSUM knows each user's mean and SD, the autocorrelation and the size of the step: it is the bound,
not a competitor."""


@dataclass(frozen=True, slots=True)
class Section:
    """Everything about one kind of data. cells: of every detector, by change and baseline."""

    kind: Kind
    found: Sequence[Detector]
    levels: Sequence[float]
    rates: Sequence[float]
    cells: dict[tuple[str, int], list[Cell]]

    @classmethod
    def tried(cls, kind: Kind) -> "Section":
        """Tune every detector on this kind of data and let it meet every change."""
        found = detectors(kind.phi, SHIFT)
        levels = [tuned(detector, kind) for detector in found]
        cells = {
            (change, baseline): [cell(one, at, kind, change, baseline) for one, at in zip(found, levels, strict=True)]
            for change in CHANGES
            for baseline in BASELINES
        }
        rates = [rate(one, at, kind) for one, at in zip(found, levels, strict=True)]
        return cls(kind, found, levels, rates, cells)

    def lines(self) -> Iterator[str]:
        """The table."""
        yield f"\n## {self.kind.name}\n"
        yield "change, baseline | " + " | ".join(detector.name for detector in self.found)
        yield "---|" * len(self.found) + "---"
        yield "false alarms a user-year | " + " | ".join(f"{r:.2f}" for r in self.rates)
        for (change, baseline), cells in self.cells.items():
            yield f"{change}, {baseline} memos | " + " | ".join(map(str, cells))
        shipped, ours = threshold_for(1.0, 1.0), self.found[0]
        steps = ", ".join(f"{n} memos {cell(ours, shipped, self.kind, 'step', n)}" for n in BASELINES)
        achieved = rate(ours, shipped, self.kind)
        yield f"\nUndertone with the shipped threshold, given nothing: {achieved:.2f} false alarms a user-year;"
        yield f"step after {steps}."

    def sooner(self) -> Iterator[str]:
        """Rows for the cells in which a River detector has the smaller mean."""
        names = [one.name for one in self.found]
        for (change, baseline), cells in self.cells.items():
            ours, given = cells[names.index(OURS)], cells[names.index(GIVEN)]
            for name, one in zip(names, cells, strict=True):
                if name not in {OURS, GIVEN, BOUND} and one.mean < ours.mean:
                    clear = "yes" if one.mean + one.half_width < ours.mean - ours.half_width else "no"
                    yield f"{self.kind.name}: {change}, {baseline} memos | {name} | {one} | {ours} | {given} | {clear}"


def summary(sections: Sequence[Section]) -> Iterator[str]:
    """Where River is sooner, and what each detector's level, tuned on independent memos, does on other data."""
    yield "\n## Where a River detector is sooner\n"
    yield "cell | detector | it takes | Undertone | Undertone, given φ | intervals apart"
    yield "---|---|---|---|---|---"
    cells = len(KINDS) * len(CHANGES) * len(BASELINES)
    rows = [row for section in sections for row in section.sooner()]
    yield from rows
    met = {row.split(" | ")[0] for row in rows}
    yield f"\n{cells - len(met)} of {cells} cells have no River detector with a smaller mean."
    yield "\n## One level for all\n"
    yield "False alarms a user-year without knowing the data: every detector with the level that gives"
    yield "one a user-year on independent memos.\n"
    yield "data | " + " | ".join(one.name for one in sections[0].found)
    yield "---|" * len(sections[0].found) + "---"
    for section in sections:
        rates = [rate(one, at, section.kind) for one, at in zip(section.found, sections[0].levels, strict=True)]
        yield f"{section.kind.name} | " + " | ".join(f"{r:.2f}" for r in rates)


def draw(sections: Sequence[Section], baseline: int) -> None:
    """Share of users found, by memos since the change, for a step of 1 SD after `baseline` memos."""
    figure = Figure(figsize=(14, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 4, sharex=True, sharey=True).flat
    for axes, section in zip(panels, sections, strict=False):
        for detector, one in zip(section.found, section.cells["step", baseline], strict=True):
            share = np.maximum.accumulate(one.flags[baseline:], axis=0).mean(1)
            style = {OURS: ("tab:red", 2.2), GIVEN: ("tab:pink", 1.2), BOUND: ("0.2", 1.2)}.get(
                detector.name, (None, 1.0)
            )
            axes.plot(np.arange(1, WATCH + 1), share, color=style[0], linewidth=style[1], label=detector.name)
        axes.set_title(section.kind.name, fontsize=10)
        axes.grid(alpha=0.2)
        axes.set_ylim(0, 1)
    panels = figure.axes
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center", fontsize=9)
    figure.supxlabel(f"memos since a change of 1 SD, after {baseline} calm memos")
    figure.supylabel("share of users found, at one false alarm a user-year")
    figure.savefig(RESULTS / f"drift_after_{baseline}.png", dpi=80)


def main() -> None:
    """Write results/drift.md and its pictures."""
    lines = ["# Drift", f"\n{provenance('python -m tests.benchmarks.drift')}", WHAT]
    sections = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for section in pool.map(Section.tried, KINDS):
            sections.append(section)
            print(*section.lines(), sep="\n", file=sys.stderr, flush=True)
            lines += section.lines()
    for more in (summary(sections), as_shipped(), costs()):
        found = list(more)
        print(*found, sep="\n", file=sys.stderr, flush=True)
        lines += found
    for baseline in BASELINES:
        draw(sections, baseline)
    (RESULTS / "drift.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

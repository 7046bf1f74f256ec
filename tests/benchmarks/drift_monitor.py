"""The monitor against the agent, value by value: `python -m tests.benchmarks.drift_monitor` writes drift_monitor.md.

A cohort with everything that comes in from the field: changes, recoveries, abstentions, repetitions, late memos, wrong
clocks, new bundles, one to five memos a day. The agent's outcomes, alerts and states must be the monitor's.
"""

import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from schemas.events import Band, RiskScored
from schemas.settings import Settings
from streams.drift.api import DriftMonitor
from streams.drift.rules import Rules
from streams.drift.user_state import delivered, follow_in_detail
from tests.benchmarks.machine import provenance

RESULTS = Path(__file__).parent / "results"
VALUES, MEMOS = 1_000_000, 400
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
NOW = START + timedelta(days=3000)
RULES = Rules.from_settings(Settings())._replace(level_of=0)


def course(seed: int) -> list[RiskScored]:
    """The scores of one user, in order of arrival."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(0, MEMOS / rng.choice([0.5, 1, 3, 5]), MEMOS))
    logits = rng.normal(-1, 1) + rng.uniform(0.2, 1.2) * rng.standard_normal(MEMOS)
    logits[MEMOS // 3 : MEMOS // 2] += rng.uniform(0, 2.5)
    logits[3 * MEMOS // 4 :] += rng.uniform(-2, 2.5)
    absent, ahead = rng.random(MEMOS) < 0.05, rng.random(MEMOS) < 0.01
    replaced = rng.uniform(0.5, 1.5) * days[-1]
    scores = []
    for i in range(MEMOS):
        moment = START + timedelta(milliseconds=round((days[i] + 5000 * ahead[i]) * 86_400_000))
        probability = None if absent[i] else float(1 / (1 + np.exp(-logits[i])))
        band, bundle = (Band.INDETERMINATE if absent[i] else Band.LOW), f"demo-{1 + (days[i] > replaced)}"
        scores.append(
            RiskScored("s", f"m{i}", "u", moment, moment, min(moment, NOW), probability, band, (), (), (), bundle)
        )
    arrival = days + np.where(rng.random(MEMOS) < 0.1, rng.uniform(0, 5, MEMOS), 0.0)
    return [scores[i] for i in np.argsort(arrival, kind="stable") for _ in range(1 + (rng.random() < 0.03))]


def compared(scores: list[RiskScored]) -> tuple[Counter[str], float, float]:
    """Outcomes and alarms of one user, the same of both; CPU seconds of the agent's code and of the monitor."""
    started = time.process_time()
    agent = follow_in_detail(None, scores, RULES, NOW.timestamp())
    between = time.process_time()
    monitor = DriftMonitor(user_id="u")
    verdicts = [
        monitor.update(s.recorded_at, s.probability, memo_id=s.memo_id, bundle_id=s.bundle_id, arrived=NOW)
        for s in scores
    ]
    ended = time.process_time()
    assert [verdict.outcome for verdict in verdicts] == list(agent.outcomes)
    alarms = [(v.alarm, v.episode, v.statistic, v.threshold, v.baseline_mean) for v in verdicts if v.alarm]
    assert alarms == [(a.state, a.dedup_key, a.statistic, a.threshold, a.baseline.mean) for a in agent.alerts]
    assert monitor.to_bytes() == delivered(agent.state, {alert.alert_id for alert in agent.alerts})
    counts = Counter([*map(str, agent.outcomes), *(str(alarm[0]) for alarm in alarms)])
    return counts, between - started, ended - between


def import_s() -> float:
    """CPU seconds of importing the monitor, least of five processes."""
    code = "import time; t = time.process_time(); import streams.drift.api; print(time.process_time() - t)"
    command = [sys.executable, "-c", code]
    return min(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(5))


def main() -> None:
    """Compare, and write results/drift_monitor.md."""
    counts, agent_s, monitor_s, values, seed = Counter[str](), 0.0, 0.0, 0, 0
    while values < VALUES:
        scores = course(seed)
        found, agent, monitor = compared(scores)
        counts, agent_s, monitor_s = counts + found, agent_s + agent, monitor_s + monitor
        values, seed = values + len(scores), seed + 1
    lines = ["# DriftMonitor beside the agent", f"\n{provenance('python -m tests.benchmarks.drift_monitor')}\n"]
    lines += [f"{values:,} values of {seed:,} users: the same outcome of each, the same {counts['raised']:,} alarms"]
    lines += ["with the same statistic, threshold and episode, and byte for byte the same states.\n"]
    lines += ["outcome or alarm | values", "---|---", *(f"{name} | {n:,}" for name, n in sorted(counts.items()))]
    ours, theirs = (f"{1e6 * seconds / values:.0f} µs" for seconds in (monitor_s, agent_s))
    lines += [f"\nCPU per value: {ours} in `DriftMonitor.update`, {theirs} in the agent's `follow_in_detail`."]
    lines += [f"Importing `streams.drift.api` takes {import_s():.3f} s of CPU."]
    (RESULTS / "drift_monitor.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write((RESULTS / "drift_monitor.md").read_text())


if __name__ == "__main__":
    main()

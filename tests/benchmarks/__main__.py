"""`make bench [ONLY=encoder,drift]`: every benchmark, one after the other; each writes its result file."""

import importlib
import sys

BENCHMARKS = (
    "contracts",
    "audio",
    "voice",
    "acoustic_cost",
    "acoustic",
    "acoustic_praat",
    "encoder",
    "precisions",
    "drift_throughput",
    "drift",
    "drift_promise",
    "drift_monitor",
    "silence",
    "scoring",
    "carry_over",
    "history",
    "audit",
    "sealing",
    "sealed_state",
    "sealed_agents",
    "pipeline",
    "poison",
    "live_alerts",
    "dashboard",
)


def main() -> None:
    """Run the benchmarks that are named, or all."""
    wanted = [name for part in sys.argv[1:] for name in part.split(",") if name] or list(BENCHMARKS)
    unknown = sorted(set(wanted) - set(BENCHMARKS))
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in wanted:
        print(f"benchmark: {name}", flush=True)
        sys.argv = [name]
        importlib.import_module(f"tests.benchmarks.{name}").main()


if __name__ == "__main__":
    main()

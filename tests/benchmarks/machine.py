"""Where and of what code a figure was taken: the line that every result carries."""

import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
CPUINFO = Path("/proc/cpuinfo")


def provenance(command: str) -> str:
    """Processor, cores, load of the last quarter of an hour, commit (`+` where the tree has changes), command."""
    load = f", load {os.getloadavg()[2]:.1f}" if hasattr(os, "getloadavg") else ""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!tests/benchmarks/results")
    commit = _git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    return f"{_processor()}, {os.cpu_count()} cores{load}; commit {commit}; `{command}`"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()


def _processor() -> str:
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())

"""What a command logs: its own lines, and none of a library."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
LOGS = """
import logging, warnings
from streams.terminal.command_logs import log_own_lines
log_own_lines()
for name in ("aiokafka", "kafka.conn", "redis", "mode.app", "tensorflow", "absl", "asyncio", "root"):
    logging.getLogger(name).error("a line of %s", name)
warnings.warn("a warning of a library")
logging.getLogger("streams.local.system").info("a line of ours")
"""


def test_only_lines_of_our_modules_are_written() -> None:
    done = subprocess.run([sys.executable, "-c", LOGS], cwd=ROOT, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "")
    assert line.endswith("INFO streams.local.system: a line of ours")

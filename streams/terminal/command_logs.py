"""Log lines of a command: its own only. A client library's would stand in the output before the command says why."""

import logging
import sys

from workers.service.loggers import is_ours


def log_own_lines() -> None:
    """Write lines of our modules to standard error from INFO up, and none of libraries, warnings of Python included.

    Roles replace this (`workers.service.logs`): their logs hold the lines of libraries too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(is_ours)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)

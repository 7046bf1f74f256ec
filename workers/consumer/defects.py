"""Errors that are not raised on purpose: a record that the program fails on becomes Poison."""

import logging
import traceback

from schemas.errors import DEFECT, Poison, Stop, Transient

log = logging.getLogger(__name__)


def unexpected(error: Exception) -> bool:
    """Whether a record may have caused this error, which says nothing of a retry, an operator or a restart."""
    return not isinstance(error, Transient | Stop | Poison)


def defect(error: Exception, stage: str) -> Poison:
    """Why a record that fails alone becomes a dead letter; logs where it failed, without the message of the error."""
    kind = type(error).__name__
    stack = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s: unhandled exception for one record: %s\n%s", stage, kind, stack)
    return Poison(DEFECT + kind, "the program failed on this record: see the stack in the log of this stage")

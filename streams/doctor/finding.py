"""What a check found: a status, one sentence, and the fix."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a check ended, the worst last."""

    OK = "ok"
    SKIPPED = "skipped"
    """Could not be judged: not configured, not permitted, or a check that it needs failed."""
    WARNING = "warning"
    """Works, and will cost something one day."""
    FAILED = "failed"
    """Does not work, or loses data."""


_ORDER = tuple(Status)


@dataclass(frozen=True, slots=True)
class Finding:
    """text: one sentence, without secrets; fix: what to do, empty where there is nothing to do."""

    status: Status
    text: str
    fix: str = ""


def ok(text: str) -> Finding:
    """Nothing to do."""
    return Finding(Status.OK, text)


def skipped(text: str, fix: str = "") -> Finding:
    """Not judged. fix: how it could be."""
    return Finding(Status.SKIPPED, text, fix)


def warning(text: str, fix: str) -> Finding:
    """Works for now."""
    return Finding(Status.WARNING, text, fix)


def failed(text: str, fix: str) -> Finding:
    """Does not work."""
    return Finding(Status.FAILED, text, fix)


def together(findings: Iterable[Finding]) -> Finding:
    """Several findings as one of the worst status, with the sentences and fixes of that status.

    >>> together([ok("a"), failed("b is gone", "bring b"), failed("c is gone", "bring c")]).text
    'b is gone; c is gone'
    """
    all_of_them = list(findings)
    worst = max((each.status for each in all_of_them), key=_ORDER.index)
    chosen = [each for each in all_of_them if each.status is worst]
    texts = dict.fromkeys(each.text for each in chosen)
    fixes = dict.fromkeys(each.fix for each in chosen if each.fix)
    return Finding(worst, "; ".join(texts), "; ".join(fixes))

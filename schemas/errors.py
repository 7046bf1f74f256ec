"""The family of errors, and what each leads to.

    Poison     the record fails permanently      → dead letter for this record only; the batch continues
    Transient  a retry may succeed               → retried with back-off while the partition waits
    Erased     of a person who was erased        → skipped and counted; no dead letter
    Stop       continuing would do harm          → the process exits with its own code; nothing is committed
    any other  a bug, met by one record or by all → the record that fails alone becomes a dead letter `defect:<type>`;
                                                   the cap on dead letters ends a process that fails on many

Messages say what is wrong, where in the data, and what to do; they contain no id, path, or content.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

DEFECT = "defect:"
"""Start of the reason code of records that the program fails on; the type of the exception follows."""


class ExitCode(IntEnum):
    """How a command or a process ends, by the names of sysexits.h where it has one. EXIT_CODES says what each means."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 69
    SOFTWARE = 70
    NOPERM = 77
    CONFIG = 78
    INTERRUPTED = 130
    CLOSED_PIPE = 141


class ExitMeaning(NamedTuple):
    """One row of the table of exit codes. summary: a few words, for help."""

    summary: str
    meaning: str
    remedy: str


EXIT_CODES: Mapping[ExitCode, ExitMeaning] = {
    ExitCode.OK: ExitMeaning("done", "The command did what was asked, or the process stopped on request.", ""),
    ExitCode.FAILED: ExitMeaning(
        "something failed",
        "Some of the input could not be used, nothing was found, or an unexpected error occurred.",
        "The message names each case; the rest of the input was processed.",
    ),
    ExitCode.USAGE: ExitMeaning(
        "invalid arguments",
        "A command, option or argument is missing, unknown or invalid; nothing was done.",
        "The message names it; `undertone COMMAND --help` lists what the command takes.",
    ),
    ExitCode.UNAVAILABLE: ExitMeaning(
        "service unavailable",
        "Kafka, Redis or a storage cannot be reached.",
        "Check its address and whether it runs, then run the command again: repeating it does no harm.",
    ),
    ExitCode.SOFTWARE: ExitMeaning(
        "too many dead letters",
        "So many records failed that the fault is likely in this release or its configuration.",
        "Roll back what changed; nothing is lost, and the process resumes where it stopped.",
    ),
    ExitCode.NOPERM: ExitMeaning(
        "permission denied",
        "Kafka or Redis denies access, or a certificate is not trusted.",
        "The message names the missing permission; grant it and start again.",
    ),
    ExitCode.CONFIG: ExitMeaning(
        "invalid configuration",
        "A setting, bundle, checkpoint or state of a newer Undertone cannot be used.",
        "The message names it and the reason.",
    ),
    ExitCode.INTERRUPTED: ExitMeaning("interrupted", "Ctrl-C (SIGINT) ended the command.", "Run it again."),
    ExitCode.CLOSED_PIPE: ExitMeaning(
        "reader gone", "The program that read the output ended, such as `head`.", "None needed."
    ),
}


class UndertoneError(Exception):
    """Anything that Undertone raises on purpose."""


class Poison(UndertoneError):
    """This record fails permanently.

    reason: a short code that dashboards count, such as `audio:undecodable`; detail: one sentence for an operator.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Poison"], tuple[str, str]]:
        """Both parts travel between processes."""
        return type(self), (self.reason, self.detail)


class UnreadableState(UndertoneError, ValueError):
    """A value of the store cannot be read: it is moved to quarantine, and its user or list restarts.

    newer: whether its version is one that a newer Undertone may write.
    """

    def __init__(self, what: str, *, newer: bool = False) -> None:
        super().__init__(what)
        self.newer = newer


class Transient(UndertoneError):
    """Storage, Redis or the broker is unavailable; a retry may succeed."""


class Unknown(Transient):
    """The key directory does not know this subject, or this month's key: it may be a replica that is behind."""


class Erased(UndertoneError):
    """Data of a person whose keys are destroyed, or of a month whose keys are: skipped and counted, no dead letter."""


class Stop(UndertoneError):
    """Continuing would do harm; the process exits with `exit_code`, which tells a supervisor the reason."""

    exit_code = ExitCode.FAILED


class DeadLetterCapReached(Stop):
    """So many records failed that the fault is likely ours: a bad deploy must not empty a topic into `memos.dead`."""

    exit_code = ExitCode.SOFTWARE


class BrokerRefused(Stop):
    """The broker denies access; the message names the missing permission."""

    exit_code = ExitCode.NOPERM


class StoreRefused(Stop):
    """Redis denies access, or its certificate is not trusted."""

    exit_code = ExitCode.NOPERM


class ConfigurationError(Stop):
    """A setting, bundle, checkpoint or state of a newer Undertone cannot be used; the message says which, and why."""

    exit_code = ExitCode.CONFIG

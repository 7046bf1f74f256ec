"""The family of errors, and what each leads to.

    Poison     the record fails permanently      → dead letter for this record only; the batch continues
    Transient  a retry may succeed               → retried with back-off while the partition waits
    Stop       continuing would do harm          → the process exits with its own code; nothing is committed
    any other  a bug, met by one record or by all → the record that fails alone becomes a dead letter `defect:<type>`;
                                                   the cap on dead letters ends a process that fails on many

Messages say what is wrong, where in the data, and what to do; they contain no id, path, or content.
"""

DEFECT = "defect:"
"""Start of the reason code of records that the program fails on; the type of the exception follows."""


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


class Stop(UndertoneError):
    """Continuing would do harm; the process exits with `exit_code`, which tells a supervisor the reason."""

    exit_code = 1


class DeadLetterCapReached(Stop):
    """So many records failed that the fault is likely ours: a bad deploy must not empty a topic into `memos.dead`."""

    exit_code = 70


class BrokerRefused(Stop):
    """The broker denies access; the message names the missing permission."""

    exit_code = 77


class StoreRefused(Stop):
    """Redis denies access, or its certificate is not trusted."""

    exit_code = 77


class ConfigurationError(Stop):
    """A setting, bundle, checkpoint or state of a newer Undertone cannot be used; the message says which, and why."""

    exit_code = 78

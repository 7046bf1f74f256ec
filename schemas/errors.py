"""The family of errors, and what each leads to.

    Poison     this record can never succeed     → it becomes a dead letter, alone; its neighbours go on
    Transient  it may succeed later              → retried with back-off while the partition waits
    Stop       going on would do harm            → the process ends with its own exit code; nothing is committed
    any other  a defect                          → the process ends; nothing is committed; the batch comes again

Messages name what is wrong, where in the data, and what to do; never an id, a path, or content.
"""


class UndertoneError(Exception):
    """Anything that Undertone raises on purpose."""


class Poison(UndertoneError):
    """This record can never succeed.

    reason: a short code that dashboards count, such as `audio:undecodable`; detail: one sentence for an operator.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Poison"], tuple[str, str]]:
        """Both parts travel between processes."""
        return type(self), (self.reason, self.detail)


class Transient(UndertoneError):
    """Storage, Redis or the broker is away; the same work may succeed later."""


class Stop(UndertoneError):
    """Going on would do harm; the process ends with `exit_code` so that a supervisor can tell why."""

    exit_code = 1


class DeadLetterCapReached(Stop):
    """So many records failed that the fault is likely ours: a bad deploy must not empty a topic into `memos.dead`."""

    exit_code = 70


class BrokerRefused(Stop):
    """The broker does not let this process in, or not do what it must; the message says which right is missing."""

    exit_code = 77


class StoreRefused(Stop):
    """Redis does not let this process in, or not do what it must, or is not the one that we trust."""

    exit_code = 77


class ConfigurationError(Stop):
    """A setting, bundle or checkpoint cannot be used; the message says which and why."""

    exit_code = 78

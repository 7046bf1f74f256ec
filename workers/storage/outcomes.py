"""What a read can end in besides its bytes. Everything here is Transient; Poison is decided elsewhere.

Missing    no such object, perhaps not yet              → a few more attempts, then `audio:missing`
Denied     this process lacks permission, or its
           credentials have expired                     → the partition waits; `/readyz` names `storage`
Busy       the storage asks for time                    → the same; attempts wait for as long as it asked
Transient  no answer, half an answer, a server error    → the same
"""

from schemas.errors import Poison, Transient

DENIED = frozenset({401, 403, 407})
GONE = frozenset({404, 410})


class Missing(Transient):
    """The object does not exist, perhaps not yet: an event may arrive before its object."""


class Denied(Transient):
    """The storage denies access. Its operator can change that, so no object is given up at once."""


class Busy(Transient):
    """The storage asks to be left alone for `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def too_large(max_bytes: int) -> Poison:
    """The error for an object of more than `max_bytes`."""
    return Poison("audio:too_large", f"the audio object is larger than the maximum of {max_bytes} bytes")


def missing() -> Missing:
    """The error for an object that does not exist."""
    return Missing("no object exists at the memo's audio URI")


def denied(status: str = "") -> Denied:
    """The error for a refusal. status: as the storage reports it."""
    return Denied(f"audio storage denies access{f' ({status})' if status else ''}: check its credentials and policy")

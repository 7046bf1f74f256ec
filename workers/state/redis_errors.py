"""What an error answer of Redis or Valkey means: one table of the code words that begin them.

Sources: the error strings in `server.c`, `cluster.c`, `script.c` and `acl.c` of Redis 7 and Valkey 8, which both
projects document as "the first word of an error is its code".
"""

import re
import ssl
from collections.abc import Iterator

from redis import exceptions

from schemas.connection_errors import why_unreachable
from schemas.errors import ConfigurationError, Stop, StoreRefused, Transient

PASSING = {
    "BUSY": "a script runs past its time limit: SCRIPT KILL ends one that has written nothing",
    "CLUSTERDOWN": "its cluster does not serve every slot",
    "EXECABORT": "it aborted a transaction",
    "FAILOVER": "it hands over to its replica",
    "LOADING": "it reads its data from disk",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "MAXCLIENTS": "it has as many clients as maxclients allows",
    "MISCONF": "it cannot save to disk: look at its disk space and its log",
    "NOREPLICAS": "it has fewer replicas than min-replicas-to-write",
    "NOSCRIPT": "its scripts were flushed",
    "OOM": "it has reached maxmemory",
    "READONLY": "it is a replica and takes no writes",
    "REDIRECT": "it hands over to its replica",
    "TRYAGAIN": "a slot of its cluster moves",
    "UNBLOCKED": "its role has changed",
    "UNKILLABLE": "a script that has written runs past its time limit",
}
"""States that pass, and what the server does meanwhile: the partition waits."""
REFUSING = {
    "DENIED": "Redis is in protected mode and takes connections of its own host only: give it a password",
    "NOAUTH": "Redis authentication failed: check REDIS_URL and UNDERTONE_REDIS_PASSWORD",
    "NOPERM": "the Redis user lacks permission for a command or key: compare deploy/redis/users.acl",
    "WRONGPASS": "Redis authentication failed: check REDIS_URL and UNDERTONE_REDIS_PASSWORD",
}
"""Refusals, and what an operator does: the process exits."""
CLUSTERED = frozenset({"ASK", "CROSSSLOT", "MOVED"})
"""A cluster's answers to a client that takes it for one server."""
ROLE_CHANGED = frozenset({"FAILOVER", "MASTERDOWN", "READONLY", "REDIRECT", "UNBLOCKED"})
"""The address may lead to another server by now: connections must be opened again."""
WRONG_TYPE = "WRONGTYPE"

_UNAVAILABLE = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError)
_TEXTS = {
    "max number of clients": "MAXCLIENTS",
    "without any password configured": "WRONGPASS",
    "no password is set": "WRONGPASS",
    "invalid password": "WRONGPASS",
    "for 'auth' command": "WRONGPASS",
    "operation not permitted": "NOAUTH",
}
"""Answers whose code word is the general ERR, by a part of their text."""
_KNOWN = frozenset({*PASSING, *REFUSING, *CLUSTERED, WRONG_TYPE})
_IN_SCRIPT = re.compile(rf"(?:ERR )?Error running script.*?[: ]-?({'|'.join(sorted(_KNOWN))}) ")
"""Redis before 7 wraps the error of a command in a script: `ERR Error running script …: -MISCONF …`."""


def code_of(error: exceptions.RedisError) -> str:
    """The code word of an error answer, such as `MISCONF`; empty where the server did not answer.

    >>> code_of(exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."))
    'NOREPLICAS'
    """
    text = str(error)
    if wrapped := _IN_SCRIPT.match(text):
        return wrapped[1]
    code = error.status_code or text.partition(" ")[0].removeprefix("-")
    if code in _KNOWN:
        return code
    if named := next((code for part, code in _TEXTS.items() if part in text.lower()), None):
        return named
    if not isinstance(error, exceptions.ResponseError):
        return ""
    return code if re.fullmatch("[A-Z]{3,20}", code) else "ERR"


def translated(error: BaseException, where: str = "Redis") -> Stop | Transient | None:
    """The error to raise instead: a refusal ends the process, a state that passes is retried; None for a defect.

    where: the setting and the address, for a server that cannot be reached.

    An answer with a code word that this table does not know is a state as well: a defect of ours is answered by ERR or
    WRONGTYPE.
    """
    if refused := refusal(error):
        return refused
    code = code_of(error) if isinstance(error, exceptions.RedisError) else ""
    if code in {"ERR", WRONG_TYPE}:
        return None
    if code:
        return Transient(f"Redis answers {code}: {PASSING.get(code, 'retried until that passes')}")
    return Transient(f"{where}: {why_unreachable(error)}") if isinstance(error, _UNAVAILABLE) else None


def refusal(error: BaseException) -> Stop | None:
    """The error that ends the process when Redis refuses access or is not trusted; None for anything else."""
    for reason in _causes(error):
        if isinstance(reason, ssl.SSLCertVerificationError):
            return StoreRefused(
                f"Redis certificate verification failed ({reason.verify_message}): check UNDERTONE_REDIS_CA"
            )
        if isinstance(reason, exceptions.RedisError):
            code = code_of(reason)
            if code in CLUSTERED:
                return ConfigurationError(
                    f"REDIS_URL names a node of a Redis Cluster (it answers {code}): name one server that has all keys"
                )
            if code in REFUSING:
                return StoreRefused(REFUSING[code])
            if isinstance(reason, exceptions.AuthenticationError | exceptions.AuthorizationError):
                return StoreRefused(REFUSING["NOAUTH"])
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

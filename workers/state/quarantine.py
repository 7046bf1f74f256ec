"""One way for state that cannot be read: counted, logged, moved aside for a while, and restarted.

A damaged value, or a key of another type, would otherwise end every process that reads it, at every start. The value
is moved in one step, and only while it is what was read, so that a crash or another writer loses nothing. The first
value that is moved from a key stays for its lifetime and later ones are deleted: the first has the user's history, and
a reader with a defect cannot fill the server.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from schemas.errors import ConfigurationError, UnreadableState
from schemas.state_keys import DRIFT, PREFIX, QUARANTINE, Kind, row_of
from workers.service import prometheus

log = logging.getLogger(__name__)

T = TypeVar("T")

LIFETIME_S = 30 * 86400.0
WRONG_TYPE = "a key of another type"

# KEYS: the key, its place in quarantine. ARGV: SHA-1 of the value as it was read ('' for a key of another type),
# lifetime in milliseconds, then a command that reads a key of the type that it should have. Returns 1 when the key was
# moved, 0 when it has changed or gone.
_MOVE = """
local value = redis.pcall(ARGV[3], KEYS[1], unpack(ARGV, 4))
local found = ''
if type(value) ~= 'table' then
  found = redis.sha1hex(value)
elseif not string.find(value.err, 'WRONGTYPE') then
  return value
end
if found ~= ARGV[1] then return 0 end
local moved = redis.pcall('RENAMENX', KEYS[1], KEYS[2])
if type(moved) == 'table' then
  if string.find(moved.err, 'no such key') then return 0 end
  return moved
end
if moved == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
return 1
"""


_READING = {Kind.VALUE: ("GETRANGE", 0, -1), Kind.SORTED_SET: ("ZCARD",)}


async def move(client: Any, key: str, stored: bytes | None, kind: Kind = Kind.VALUE, *, prefix: str = PREFIX) -> bool:
    """Move a value in Redis to quarantine; False when another process changed it first.

    stored: the whole value as it was read, None for a key of another type than `kind`; prefix: of every key.
    """
    read = "" if stored is None else hashlib.sha1(stored, usedforsecurity=False).hexdigest()
    names = prefix + key, prefix + QUARANTINE.key(key)
    return bool(await client.eval(_MOVE, 2, *names, read, round(LIFETIME_S * 1000), *_READING[kind]))


def note(key: str, why: str) -> None:
    """Count and log a value that was moved; why: without content."""
    row = row_of(key)
    kind = row.name if row else "other"
    prometheus.STATE_UNREADABLE.labels(entry=kind).inc()
    if row is DRIFT:
        prometheus.BASELINE_RESETS.labels(reason="unreadable").inc()
    log.warning("state unreadable, moved to quarantine and restarted: key=%s, reason: %s", kind, why)


def attempt(
    fn: Callable[[str, bytes | None], T], key: str, content: bytes | None, *, whole: Callable[[], bool]
) -> T | UnreadableState:
    """What `fn` makes of a value, or why it cannot be read.

    whole: returns whether the value is as a writer left it. Raises ConfigurationError when a newer
    Undertone wrote it.
    """
    try:
        return fn(key, content)
    except UnreadableState as error:
        if content is None:
            raise
        if error.newer and whole():
            raise ConfigurationError(f"{error}; a newer Undertone wrote it: upgrade this process") from None
        return error

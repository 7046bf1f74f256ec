"""Removes what Redis keeps of one user: every key whose pattern in the table names a user."""

import re
from collections.abc import Iterator
from typing import Any

from redis import exceptions

from schemas.state_keys import JOIN, OPEN_JOINS, PREFIX, SILENCES, STATE_KEYS
from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, ok, skipped
from streams.doctor.redis_server import CLIENT


def keys_of(user_id: str, memo_id: str) -> Iterator[str]:
    """The keys of a user with one memo, without PREFIX.

    >>> list(keys_of("someone", "memo"))[:2]
    ['drift:{someone}', 'baseline:{someone}']
    """
    names = {"user_id": user_id, "memo_id": memo_id}
    for row in STATE_KEYS:
        placeholders = re.findall(r"<(\w+)>", row.pattern)
        if "user_id" in placeholders and names.keys() >= set(placeholders):
            yield row.key(*(names[each] for each in placeholders))


async def forget(patient: Patient, user_id: str, memo_id: str) -> Finding:
    """Delete the keys of a user; skipped, with the reason, where Redis is not reached or refuses."""
    client: Any = patient.known.get(CLIENT)
    if client is None:
        return skipped("its keys in Redis, which is not reached from here, until they expire")
    try:
        await client.delete(*(PREFIX + key for key in keys_of(user_id, memo_id)))
        await client.zrem(PREFIX + OPEN_JOINS.key(), JOIN.key(user_id, memo_id))
        await client.zrem(PREFIX + SILENCES.key(), user_id)
    except (exceptions.RedisError, OSError) as error:
        return skipped(f"its keys in Redis ({type(error).__name__}), until they expire")
    return ok("its keys in Redis")

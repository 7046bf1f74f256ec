"""Removes what Redis keeps of one user: every key whose pattern in the table names a user."""

import re
from collections.abc import Iterator

from schemas.errors import Stop, Transient
from schemas.state_keys import JOIN, SILENCES, STATE_KEYS
from streams.doctor.examination import Patient
from streams.doctor.finding import Finding, ok, skipped
from streams.doctor.redis_server import CLIENT
from workers.state.open_store import open_deadlines, open_store


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
    """Delete the keys of a user, sealed or not; skipped, with the reason, where Redis is not reached or refuses."""
    if patient.known.get(CLIENT) is None:
        return skipped("its keys in Redis, which is not reached from here, until they expire")
    settings = patient.settings
    try:
        async with (
            open_store(settings) as store,
            open_deadlines(settings) as joins,
            open_deadlines(settings, SILENCES) as silences,
        ):
            await store.delete(list(keys_of(user_id, memo_id)))
            await joins.drop([JOIN.key(user_id, memo_id)])
            await silences.drop([user_id])
    except (Stop, Transient) as error:
        return skipped(f"its keys in Redis ({error}), until they expire")
    return ok("its keys in Redis")

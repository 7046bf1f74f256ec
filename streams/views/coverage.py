"""How many known users a mute would cover, and whether it looks like a mistake."""

from typing import NamedTuple

from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT
from streams.drift.mutes import Scope
from workers.state.store import Store

STATES = (DRIFT, BASELINE, BASELINE_0_1)
"""What is stored of every user who has had a score."""
LARGE = 0.5
"""Share of all known users above which a cohort mute needs to be confirmed: few operators mean half of everybody."""


class Coverage(NamedTuple):
    """Known users that a mute covers, and all known users. 0 of 0 for a user who is unknown."""

    covered: int
    known: int


async def user_coverage(store: Store, name: str) -> Coverage:
    """Whether there is state of this user. Raises Transient."""
    found = await store.read([row.key(name) for row in STATES])
    count = int(any(value is not None for value in found.values()))
    return Coverage(count, count)


async def cohort_coverage(store: Store, prefix: str) -> Coverage:
    """How many users with state begin with `prefix`; scans the keys of all users. Raises Transient."""
    users, covered = set[str](), set[str]()
    for row in STATES:
        start = row.key(prefix).removesuffix("}")
        keys = await store.find(f"{row.prefix}*")
        users.update(key.removeprefix(row.prefix) for key in keys)
        covered.update(key.removeprefix(row.prefix) for key in keys if key.startswith(start))
    return Coverage(len(covered), len(users))


def objection(scope: Scope, coverage: Coverage, *, even_if_unknown: bool, confirmed: bool) -> str:
    """Why a mute is refused as a likely mistake, and what to do; empty if it is not."""
    if not coverage.covered and not even_if_unknown:
        who = "this user has" if scope is Scope.USER else "no user of this cohort has"
        negated = "no state" if scope is Scope.USER else "any state"
        return (
            f"{who} {negated}, as after a first score: check the pseudonym, or mute them before with --even-if-unknown"
        )
    if scope is Scope.COHORT and coverage.covered > LARGE * coverage.known and not confirmed:
        return (
            f"this cohort covers {coverage.covered} of {coverage.known} known users: give a longer prefix, or confirm "
            "with --yes"
        )
    return ""

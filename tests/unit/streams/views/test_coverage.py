"""Which mutes look like a mistake."""

import pytest

from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, MUTES
from streams.drift.mutes import Scope
from streams.views.coverage import Coverage, cohort_coverage, objection, user_coverage
from workers.state.store import MemoryStore


@pytest.fixture
async def store(anyio_backend: str) -> MemoryStore:
    """Three users of clinic a, one of them with a baseline of 0.1 alone, and one of clinic b."""
    store = MemoryStore()
    keys = [DRIFT.key("a/1"), BASELINE.key("a/1"), BASELINE.key("a/2"), BASELINE_0_1.key("a/3"), DRIFT.key("b}/1")]
    await store.update([*keys, MUTES.key()], lambda key, _: (b"state", None), ttl_s=60)
    return store


async def test_a_user_is_known_by_any_state(store: MemoryStore) -> None:
    known = {name: await user_coverage(store, name) for name in ("a/1", "a/2", "a/3", "b}/1", "a/", "")}
    assert {name for name, coverage in known.items() if coverage.covered} == {"a/1", "a/2", "a/3", "b}/1"}


async def test_a_cohort_counts_each_user_once(store: MemoryStore) -> None:
    assert await cohort_coverage(store, "a/") == Coverage(3, 4)
    assert await cohort_coverage(store, "b}") == Coverage(1, 4)
    assert await cohort_coverage(store, "a*") == Coverage(0, 4)
    assert await cohort_coverage(store, "c") == Coverage(0, 4)


@pytest.mark.parametrize(
    ("scope", "coverage", "even_if_unknown", "confirmed", "part"),
    [
        (Scope.USER, Coverage(0, 0), False, False, "--even-if-unknown"),
        (Scope.USER, Coverage(0, 0), True, False, ""),
        (Scope.USER, Coverage(1, 1), False, False, ""),
        (Scope.COHORT, Coverage(0, 4), False, True, "--even-if-unknown"),
        (Scope.COHORT, Coverage(3, 4), True, False, "3 of 4 known users"),
        (Scope.COHORT, Coverage(3, 4), False, True, ""),
        (Scope.COHORT, Coverage(2, 4), False, False, ""),
        (Scope.COHORT, Coverage(0, 0), True, False, ""),
    ],
)
def test_unknown_users_and_large_cohorts_need_a_word_more(
    scope: Scope, coverage: Coverage, even_if_unknown: bool, confirmed: bool, part: str
) -> None:
    found = objection(scope, coverage, even_if_unknown=even_if_unknown, confirmed=confirmed)
    assert part in found
    assert bool(found) == bool(part)

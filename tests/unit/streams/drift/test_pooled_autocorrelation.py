"""The pooled autocorrelation."""

import itertools
import math

import pytest

from schemas.errors import UnreadableState
from streams.drift.pooled_autocorrelation import LARGEST, Pool, prior_from_bytes, prior_to_bytes


def test_little_evidence_leaves_the_default() -> None:
    assert Pool().autocorrelation(0.25) == 0.25
    assert Pool().plus(50, 50).autocorrelation(0.25) == pytest.approx(0.25)


@pytest.mark.parametrize(("phi", "found"), [(0.0, 0.0), (0.32, 0.3), (0.9, LARGEST), (-0.4, 0.0)])
def test_much_evidence_overrules_it(phi: float, found: float) -> None:
    assert Pool().plus(1e6, phi * 1e6).autocorrelation(0.25) == pytest.approx(found)


def test_the_order_of_adding_does_not_matter() -> None:
    parts = [(0.1, 0.7), (3.0, -1.3), (27.0, 11.1)]
    totals = set()
    for order in itertools.permutations(parts):
        pool = Pool()
        for part in order:
            pool = pool.plus(*part)
        totals.add(pool)
    assert len(totals) == 1


def test_a_pool_survives_storage_and_damage_is_told() -> None:
    pool = Pool().plus(12, 3.25)
    assert Pool.from_bytes(pool.to_bytes()) == pool
    assert Pool.from_bytes(None) == Pool()
    for damaged in (b"junk", b"", pool.to_bytes()[:-1], Pool(-1, 0).to_bytes(), Pool(0, 1 << 62).to_bytes()):
        with pytest.raises(UnreadableState):
            Pool.from_bytes(damaged)


def test_a_prior_survives_storage_and_damage_is_told() -> None:
    assert prior_from_bytes(prior_to_bytes(0.35)) == 0.35
    assert prior_from_bytes(None) is None
    for damaged in (b"junk", b"", prior_to_bytes(math.nan), prior_to_bytes(math.inf), prior_to_bytes(-1.0)):
        with pytest.raises(UnreadableState):
            prior_from_bytes(damaged)

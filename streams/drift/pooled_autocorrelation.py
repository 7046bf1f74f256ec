"""The pooled autocorrelation of all users, the prior for users with too little data of their own.

Every new day of every user adds one pair of successive days to two sums, which the agents store in one value. The prior
for new users is derived from it, rounded to 0.05, and stored in its own value for PRIOR_DAYS: all agents read the same
one, whenever they start, and a user keeps their first prior.
"""

import struct
from typing import NamedTuple

from schemas.state_keys import POOL, PRIOR

PRIOR_DAYS = 30.0
SHRINK_PAIRS = 2000.0
"""Weight of the default against observed pairs, in pairs."""
LARGEST = 0.5
_POOL = struct.Struct("<qq")
_PRIOR = struct.Struct("<d")
_MICRO = 1e6
_MOST = 1 << 60


class Pool(NamedTuple):
    """Sums over pairs of successive days, in millionths: integers, so that the order of additions does not matter."""

    pairs: int = 0
    products: int = 0

    def plus(self, pairs: float, products: float) -> "Pool":
        """The pool with the sums of some scores added."""
        return Pool(self.pairs + round(pairs * _MICRO), self.products + round(products * _MICRO))

    def autocorrelation(self, default: float) -> float:
        """The estimate, shrunk towards `default` while pairs are few, within 0 and LARGEST, in steps of 0.05."""
        pairs, products = self.pairs / _MICRO, self.products / _MICRO
        shrunk = (products + SHRINK_PAIRS * default) / (pairs + SHRINK_PAIRS)
        return max(0.0, min(LARGEST, round(shrunk * 20) / 20))

    def to_bytes(self) -> bytes:
        """The pool as stored."""
        return POOL.framed(_POOL.pack(self.pairs, self.products))

    @classmethod
    def from_bytes(cls, data: bytes | None) -> "Pool":
        """The pool in stored bytes; an empty one for None. Raises UnreadableState."""
        if data is None:
            return cls()
        with POOL.decoding():
            pool = cls(*_POOL.unpack(POOL.opened(data)[1]))
            if not 0 <= pool.pairs <= _MOST or abs(pool.products) > _MOST:
                raise ValueError("sums beyond any number of days")
            return pool


def prior_to_bytes(prior: float) -> bytes:
    """A prior as stored."""
    return PRIOR.framed(_PRIOR.pack(prior))


def prior_from_bytes(data: bytes | None) -> float | None:
    """The prior in stored bytes; None for None. Raises UnreadableState."""
    if data is None:
        return None
    with PRIOR.decoding():
        prior = float(_PRIOR.unpack(PRIOR.opened(data)[1])[0])
        if not 0.0 <= prior <= LARGEST:
            raise ValueError("no autocorrelation that is assumed of anybody")
        return prior

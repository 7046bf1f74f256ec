"""The autocorrelation of all users together, for those of whom too little is known.

Every new day of every user adds one pair of neighbouring days to two sums; the agents keep them in one value of the
store. What is assumed of users who begin is taken up from there, rounded to 0.05, into a value of its own, the prior,
which stands for PRIOR_DAYS: all agents see the same one, whenever they start, and a user keeps the one they began with.
"""

import struct
from typing import NamedTuple

from schemas.state_keys import POOL, PRIOR

PRIOR_DAYS = 30.0
SHRINK_PAIRS = 2000.0
"""Pairs that the default is worth against what was seen."""
LARGEST = 0.5
_POOL = struct.Struct("<qq")
_PRIOR = struct.Struct("<d")
_MICRO = 1e6


class Pool(NamedTuple):
    """Sums over pairs of neighbouring days, in millionths: integers, so that the order of adding cannot matter."""

    pairs: int = 0
    products: int = 0

    def plus(self, pairs: float, products: float) -> "Pool":
        """The pool with what some scores have added."""
        return Pool(self.pairs + round(pairs * _MICRO), self.products + round(products * _MICRO))

    def autocorrelation(self, default: float) -> float:
        """The estimate, shrunk to `default` while few pairs are known, within 0 and LARGEST, in steps of 0.05."""
        pairs, products = self.pairs / _MICRO, self.products / _MICRO
        shrunk = (products + SHRINK_PAIRS * default) / (pairs + SHRINK_PAIRS)
        return max(0.0, min(LARGEST, round(shrunk * 20) / 20))

    def to_bytes(self) -> bytes:
        """The pool as stored."""
        return POOL.framed(_POOL.pack(self.pairs, self.products))

    @classmethod
    def from_bytes(cls, data: bytes | None) -> "Pool":
        """The pool in stored bytes; an empty one when there is none or it cannot be read."""
        try:
            return cls() if data is None else cls(*_POOL.unpack(POOL.opened(data)[1]))
        except (ValueError, struct.error):
            return cls()


def prior_to_bytes(prior: float) -> bytes:
    """A prior as stored."""
    return PRIOR.framed(_PRIOR.pack(prior))


def prior_from_bytes(data: bytes | None) -> float | None:
    """The prior in stored bytes; None when there is none or it cannot be read."""
    try:
        return None if data is None else float(_PRIOR.unpack(PRIOR.opened(data)[1])[0])
    except (ValueError, struct.error):
        return None

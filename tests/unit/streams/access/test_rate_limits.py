"""Token buckets."""

from streams.access import rate_limits
from streams.access.rate_limits import Rate, RateLimit


def test_a_burst_then_a_steady_rate() -> None:
    limit = RateLimit(Rate(per_s=10.0, burst=5.0))
    taken = [limit.wait_s("a", 0.0) for _ in range(6)]
    assert taken[:5] == [0.0] * 5
    assert taken[5] == 0.1
    served = sum(limit.wait_s("a", second / 100) == 0 for second in range(1, 1001))
    assert 99 <= served <= 100


def test_one_key_leaves_the_others_their_tokens() -> None:
    limit = RateLimit(Rate(per_s=1.0, burst=1.0))
    assert [limit.wait_s(key, 0.0) for key in "aab"] == [0.0, 1.0, 0.0]


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    limit = RateLimit(Rate(per_s=1.0, burst=1.0))
    assert limit.wait_s("a", 10.0) == 0.0
    assert limit.wait_s("a", 5.0) == 1.0


def test_buckets_of_any_number_of_addresses_take_bounded_memory() -> None:
    limit = RateLimit(Rate(per_s=1.0, burst=1.0))
    for number in range(rate_limits.MOST_KEYS + 10):
        limit.wait_s(str(number), 0.0)
    assert len(limit._buckets) == rate_limits.MOST_KEYS
    assert limit.wait_s(str(rate_limits.MOST_KEYS + 9), 0.0) == 1.0

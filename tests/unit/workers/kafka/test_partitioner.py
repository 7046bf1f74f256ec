import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from workers.kafka.partitioner import Partitioner, partition_of


@given(st.binary(max_size=80), st.integers(1, 100))
def test_a_key_goes_where_the_client_would_put_it(key: bytes, count: int) -> None:
    partitions = list(range(count))
    expected = DefaultPartitioner()(key, partitions, partitions)
    assert partition_of(key, count) == Partitioner()(key, partitions, partitions) == expected


@pytest.mark.parametrize(
    ("key", "hashed"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)]
)
def test_hashes_are_those_of_the_java_client(key: bytes, hashed: int) -> None:
    # Values of UtilsTest.testMurmur2 in Apache Kafka.
    assert partition_of(key, 1 << 31) == hashed & 0x7FFFFFFF


def test_a_record_without_a_key_goes_to_an_available_partition() -> None:
    assert {Partitioner()(None, [0, 1, 2], [2]) for _ in range(20)} == {2}

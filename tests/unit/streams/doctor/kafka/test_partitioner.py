"""Which partitioner keys and partitions give away."""

from zlib import crc32

import pytest
from aiokafka.partitioner import DefaultPartitioner

from streams.doctor.finding import Status
from streams.doctor.kafka.partitioner import OTHERS, judged

KEYS = [f"user-{number}".encode() for number in range(60)]


def ours(key: bytes, count: int) -> int:
    return int(DefaultPartitioner()(key, list(range(count)), list(range(count))))


@pytest.mark.parametrize("count", [2, 3, 4, 12, 48])
def test_keys_where_our_producers_put_them_are_right(count: int) -> None:
    assert judged([(key, ours(key, count)) for key in KEYS], count).status is Status.OK


@pytest.mark.parametrize("count", [2, 3, 4, 12, 48])
@pytest.mark.parametrize("name", OTHERS)
def test_another_partitioner_is_named_although_its_records_are_among_ours(count: int, name: str) -> None:
    places = [(key, OTHERS[name](key, count)) for key in KEYS[:30]] + [(key, ours(key, count)) for key in KEYS[30:]]
    found = judged(places, count)
    assert found.status is Status.FAILED
    assert name in found.text


def test_the_default_of_librdkafka_is_crc32() -> None:
    assert "librdkafka" in judged([(key, crc32(key) % 12) for key in KEYS], 12).text


def test_sarama_hashes_with_32_bit_fnv_1a() -> None:
    """Values of the FNV-1a reference (`a`, `foobar`); Sarama takes them as signed numbers and drops the sign."""
    (sarama,) = [place for name, place in OTHERS.items() if "Sarama" in name]
    for key, value in ((b"a", 0xE40C292C), (b"foobar", 0xBF9CF968)):
        assert sarama(key, 1000) == (2**32 - value) % 1000


def test_any_other_choice_is_wrong_too() -> None:
    found = judged([(key, 0) for key in KEYS], 12)
    assert found.status is Status.FAILED
    assert "another partitioner, or partitions were added" in found.text


def test_one_partition_is_right_for_everybody() -> None:
    assert judged([(key, 0) for key in KEYS], 1).status is Status.OK

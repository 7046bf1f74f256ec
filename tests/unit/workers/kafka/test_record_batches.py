"""No content of a batch stops its reader: every offset gives a record."""

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import MAX_RECORD_BYTES
from workers.kafka import record_batches
from workers.kafka.decompression import MAX_BATCH_BYTES
from workers.kafka.record import Unread

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = (NONE, GZIP, SNAPPY, LZ4, ZSTD)
BASE = 100
PARTITION = TopicPartition("memos.uploaded", 0)


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = fetcher.MemoryRecords
    record_batches.install()
    yield
    fetcher.MemoryRecords = before


def batch(values: list[bytes | None], codec: int = NONE, headers: list[tuple[str, bytes]] | None = None) -> bytes:
    """A batch as a producer writes it, of records with key `k` and these values."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, 0, 1 << 40)
    for offset, value in enumerate(values):
        builder.append(offset, 1000 + offset, b"k", value, headers or [])
    return bytes(at_offset(bytearray(builder.build())))


def at_offset(data: bytearray) -> bytearray:
    """The batch as the broker stores it: with its first offset, and the checksum, which does not cover it."""
    struct.pack_into(">q", data, 0, BASE)
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return data


def read(data: bytes) -> list[Any]:
    """The records as a consumer gets them."""
    records = fetcher.MemoryRecords(data)
    return list(fetcher.PartitionRecords(PARTITION, records, [], BASE, None, None, True, fetcher.READ_COMMITTED))


def damaged(data: bytes, find: bytes, replacement: bytes) -> bytes:
    """The batch with other bytes of the same length, and a checksum that fits."""
    assert len(find) == len(replacement)
    assert find in data
    return bytes(at_offset(bytearray(data.replace(find, replacement))))


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_what_was_written(codec: int) -> None:
    records = read(batch([b"one", None, b"", b"x" * 5000], codec, [("name", b"value")]))
    assert [record.value for record in records] == [b"one", None, b"", b"x" * 5000]
    assert [record.offset for record in records] == [BASE, BASE + 1, BASE + 2, BASE + 3]
    assert [record.timestamp for record in records] == [1000, 1001, 1002, 1003]
    assert {record.headers for record in records} == {(("name", b"value"),)}


def test_a_header_name_that_is_not_utf_8_is_escaped_and_costs_nothing_else() -> None:
    data = damaged(batch([b"one", b"two"], NONE, [("nameless", b"value")]), b"nameless", b"name\xff\xfe\x00s")
    assert [record.value for record in read(data)] == [b"one", b"two"]
    assert {record.headers for record in read(data)} == {(("name\\xff\\xfe\x00s", b"value"),)}


def test_what_cannot_be_decompressed_is_unread_at_every_offset() -> None:
    data = bytearray(batch([b"one", b"two"], ZSTD))
    data[61:] = b"\x00" * (len(data) - 61)
    records = read(bytes(at_offset(data)))
    assert [record.offset for record in records] == [BASE, BASE + 1]
    assert all(isinstance(record.value, Unread) for record in records)
    assert {record.value.reason for record in records} == {"event:damaged"}


def test_an_unknown_codec_is_unread() -> None:
    data = bytearray(batch([b"one"], ZSTD))
    data[22] |= 7
    (record,) = read(bytes(at_offset(data)))
    assert record.value.reason == "event:damaged"


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_large_value_is_not_kept_and_its_neighbours_are(codec: int) -> None:
    large = bytes(MAX_RECORD_BYTES + 1)
    records = read(batch([b"before", large, b"behind"], codec))
    assert [record.value for record in (records[0], records[2])] == [b"before", b"behind"]
    unread = records[1].value
    assert unread == b""
    assert (unread.reason, unread.size, unread.sha256) == ("event:too_large", len(large), sha256(large).hexdigest())


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_a_batch_that_decompresses_to_too_much_is_read_up_to_the_limit(codec: int) -> None:
    records = read(batch([b"before", bytes(MAX_BATCH_BYTES), b"behind"], codec))
    assert records[0].value == b"before"
    assert [record.offset for record in records] == [BASE, BASE + 1, BASE + 2]
    assert [record.value.reason for record in records[1:]] == ["event:too_large"] * 2


def test_javas_blocks_of_snappy_are_bounded_too() -> None:
    records = read(batch([b"before", bytes(MAX_BATCH_BYTES), b"behind"], SNAPPY))
    assert [record.offset for record in records] == [BASE, BASE + 1, BASE + 2]
    assert isinstance(records[1].value, Unread)


def test_more_headers_than_a_record_may_have_are_left_out() -> None:
    many = [(f"h{index}", b"") for index in range(record_batches.MAX_HEADERS + 1)]
    (record,) = read(batch([b"one"], NONE, many))
    assert record.value == b"one"
    assert len(record.headers) == record_batches.MAX_HEADERS


def test_a_damaged_record_costs_itself_alone() -> None:
    # The length of the second value is one more than its record has room for.
    data = damaged(batch([b"one", b"AB", b"two"]), b"\x04AB", b"\x06AB")
    records = read(data)
    assert [record.offset for record in records] == [BASE, BASE + 1, BASE + 2]
    assert (records[0].value, records[2].value) == (b"one", b"two")
    assert isinstance(records[1].value, Unread)


@given(st.binary(max_size=200), st.integers(1, 5), st.sampled_from(CODECS))
def test_no_bytes_raise_or_give_an_offset_twice(body: bytes, count: int, codec: int) -> None:
    data = bytearray(batch([b"x"] * count, NONE)[:61]) + body
    data[22] |= codec
    struct.pack_into(">i", data, 8, len(data) - 12)
    offsets = [record.offset for record in read(bytes(at_offset(data)))]
    assert offsets == sorted(set(offsets))
    assert set(offsets) <= set(range(BASE, BASE + count))

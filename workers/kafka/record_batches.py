"""Reads record batches so that no content of a batch can stop its reader.

aiokafka raises for a header key that is not UTF-8, for a codec that is not installed and for damaged records, each time
it reads the batch again; and it decompresses whatever a batch claims to hold. Here every offset of a batch gives a
record: as it was written where that is possible, else with `Unread` as its value, which becomes a dead letter.

Source of the layout: Kafka protocol guide, record batch version 2.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBase
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from schemas.topics import MAX_RECORD_BYTES
from workers.kafka.decompression import MAX_BATCH_BYTES, decompressed
from workers.kafka.record import Unread

MAX_HEADERS = 256
"""Headers of one record; further ones are ignored."""
MAX_KEY_BYTES = 1024
"""Bytes of the key of a record whose value is `Unread`; a longer key is dropped."""

_BATCH = DefaultRecordBase.HEADER_STRUCT
_BATCH_PREFIX = struct.Struct(">qi")
"""Base offset, and bytes that follow."""
_MAGIC_AT = _BATCH_PREFIX.size + 4
_ATTRIBUTES_AT = DefaultRecordBase.ATTRIBUTES_OFFSET

DAMAGED = ("event:damaged", "the record or its batch is damaged, or compressed in an unknown or too large form")
TOO_LARGE = ("event:too_large", f"its batch has more than {MAX_BATCH_BYTES} bytes when decompressed")

Record: TypeAlias = Any
"""A record with `offset`, `timestamp`, `timestamp_type`, `key`, `value`, `headers` and `checksum`."""
Headers: TypeAlias = list[tuple[str, bytes | None]]
Bytes: TypeAlias = bytes | memoryview


class ReadRecord(NamedTuple):
    """A record that this module has read, with aiokafka's names."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    checksum: None = None


class ReadableRecords:
    """Takes the place of aiokafka's `MemoryRecords`: the batches of one partition in a fetch response."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._records = MemoryRecords(data)

    def has_next(self) -> bool:
        """Whether another whole batch follows."""
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        """Bytes of the response, with a batch that was cut off at its end."""
        return int(self._records.size_in_bytes())

    def next_batch(self) -> "ReadableBatch | None":
        """The next batch. Raises aiokafka's CorruptRecordException for one that is shorter than its header."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        _, length = _BATCH_PREFIX.unpack_from(self._data, self._at)
        data = memoryview(self._data)[self._at : self._at + _BATCH_PREFIX.size + length]
        self._at += len(data)
        return ReadableBatch(batch, data)


class ReadableBatch:
    """One batch: aiokafka's with its checksum and transaction, but iterating it never raises. data: all its bytes."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Record:
        """The first record of a control batch, which only brokers write."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Record]:
        """Every record, in order of offsets."""
        if self._data[_MAGIC_AT] < 2:
            last = self._batch.next_offset - 1
            return _guarded(self._batch, range(last + 1), lambda: iter([_unread(last, 0, DAMAGED)]))
        offsets = range(self._batch.base_offset, self._batch.next_offset)
        codec, body = self._batch.compression_type, self._data[_BATCH.size :]
        if codec == DefaultRecordBase.CODEC_NONE:
            return _guarded(self._batch, offsets, lambda: records_of(self._data, body))
        plain, whole = decompressed(codec, body)
        if not whole or len(plain) > MAX_RECORD_BYTES:
            return records_of(self._data, plain, TOO_LARGE if len(plain) else DAMAGED)
        return _guarded(_without_codec(self._data, plain), offsets, lambda: records_of(self._data, plain))


def install() -> None:
    """Let every aiokafka consumer of this process read batches with `ReadableRecords`; idempotent.

    aiokafka has no setting for it: its fetcher names the class.
    """
    fetcher.MemoryRecords = ReadableRecords


def _without_codec(data: memoryview, plain: memoryview) -> Any:
    """The same batch, not compressed, for aiokafka's own parser."""
    header = bytearray(data[: _BATCH.size])
    _BATCH_PREFIX.pack_into(header, 0, _BATCH.unpack_from(data)[0], _BATCH.size - _BATCH_PREFIX.size + len(plain))
    header[_ATTRIBUTES_AT + 1] &= ~DefaultRecordBase.CODEC_MASK & 0xFF
    return MemoryRecords(bytes(header) + bytes(plain)).next_batch()


def _guarded(records: Iterable[Record], offsets: range, otherwise: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    """The records as aiokafka reads them; from the first one that it cannot read, those of `otherwise`.

    aiokafka skips the offsets that it has read already.
    """
    with suppress(KafkaError, ValueError, LookupError, struct.error):
        for record in records:
            if not offsets.start <= record.offset < offsets.stop:
                break
            offsets = range(record.offset + 1, offsets.stop)
            yield record if len(record.headers) <= MAX_HEADERS else _with_few_headers(record)
        else:
            return
    yield from otherwise()


def _with_few_headers(record: Record) -> ReadRecord:
    kept = record.headers[:MAX_HEADERS]
    return ReadRecord(record.offset, record.timestamp, record.timestamp_type, record.key, record.value, kept)


def records_of(data: Bytes, plain: Bytes, cut: tuple[str, str] = DAMAGED) -> Iterator[ReadRecord]:
    """The records of a version 2 batch, each offset once.

    data: the batch; plain: its records, not compressed; cut: reason and detail of offsets whose record is not in
    `plain` or cannot be read.
    """
    header = _BATCH.unpack_from(data)
    base, attributes, last, first_time, last_time, count = (header[at] for at in (0, 5, 6, 7, 8, 12))
    appended = bool(attributes & DefaultRecordBase.TIMESTAMP_TYPE_MASK)
    at, offset = 0, base
    for _ in range(count):
        try:
            length, start = decode_varint(plain, at)
            if not 0 < length <= len(plain) - start:
                break
            at = start + length
            delta_ms, delta, fields_at = _deltas(plain, start)
        except (ValueError, LookupError):
            break
        if not offset <= base + delta <= base + last:
            break
        offset = base + delta
        timestamp = last_time if appended else first_time + delta_ms
        yield _record(plain, fields_at, at, offset, timestamp, int(appended))
        offset += 1
    for missing in range(offset, base + last + 1):
        yield _unread(missing, last_time if appended else first_time, cut)


def _deltas(plain: Bytes, at: int) -> tuple[int, int, int]:
    """A record's timestamp and offset relative to its batch, and where its key begins."""
    delta_ms, at = decode_varint(plain, at + 1)
    delta, at = decode_varint(plain, at)
    return delta_ms, delta, at


def _record(plain: Bytes, at: int, end: int, offset: int, timestamp: int, timestamp_type: int) -> ReadRecord:
    """The record whose key begins at `at`, `Unread` when it is damaged or too large."""
    record = plain[:end]
    try:
        key, at = _bytes_at(record, at)
        value, at = _bytes_at(record, at)
        headers = [] if end - at > MAX_RECORD_BYTES else _headers_at(record, at)
    except (ValueError, LookupError):
        return _unread(offset, timestamp, DAMAGED)
    if (0 if key is None else len(key)) + (0 if value is None else len(value)) > MAX_RECORD_BYTES:
        small = key if key is None or len(key) <= MAX_KEY_BYTES else None
        unread = Unread.too_large(value or b"", MAX_RECORD_BYTES)
        return ReadRecord(offset, timestamp, timestamp_type, _kept(small), unread, headers)
    return ReadRecord(offset, timestamp, timestamp_type, _kept(key), _kept(value), headers)


def _headers_at(record: Bytes, at: int) -> Headers:
    """The first headers; of a name that is not UTF-8 the other bytes are escaped."""
    count, at = decode_varint(record, at)
    headers: Headers = []
    for _ in range(min(count, MAX_HEADERS)):
        name, at = _bytes_at(record, at)
        value, at = _bytes_at(record, at)
        headers.append((bytes(name or b"").decode("utf-8", "backslashreplace"), _kept(value)))
    return headers


def _bytes_at(record: Bytes, at: int) -> tuple[Bytes | None, int]:
    """The byte string at `at`, None for null, and where it ends. Raises ValueError when its record is shorter."""
    length, at = decode_varint(record, at)
    if length < 0:
        return None, at
    if at + length > len(record):
        raise ValueError("a byte string is longer than its record")
    return record[at : at + length], at + length


def _kept(value: Bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


def _unread(offset: int, timestamp: int, why: tuple[str, str]) -> ReadRecord:
    return ReadRecord(offset, timestamp, 0, None, Unread.because(*why), [])

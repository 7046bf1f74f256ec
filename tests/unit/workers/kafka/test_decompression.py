"""Batches decompress up to a limit, whatever they claim."""

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBase

from workers.kafka.decompression import MAX_BATCH_BYTES, decompressed

PLAIN = b"some records, some records, some records"
GZIP, LZ4, ZSTD = DefaultRecordBase.CODEC_GZIP, DefaultRecordBase.CODEC_LZ4, DefaultRecordBase.CODEC_ZSTD


def compressed(codec: int, plain: bytes) -> bytes:
    return bytes({GZIP: cramjam.gzip, LZ4: cramjam.lz4, ZSTD: cramjam.zstd}[codec].compress(plain))


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_what_is_whole_is_given_whole(codec: int) -> None:
    plain, whole = decompressed(codec, compressed(codec, PLAIN))
    assert (bytes(plain), whole) == (PLAIN, True)


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_what_is_too_large_is_cut_off_at_the_limit(codec: int) -> None:
    plain, whole = decompressed(codec, compressed(codec, PLAIN + bytes(MAX_BATCH_BYTES)))
    assert (len(plain), whole) == (MAX_BATCH_BYTES, False)
    assert plain[: len(PLAIN)] == PLAIN


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_nothing_is_given_of_damaged_bytes(codec: int) -> None:
    """What was written before the damage was found is not told from the zeros behind it."""
    plain, whole = decompressed(codec, compressed(codec, PLAIN)[:-9])
    assert (len(plain), whole) == (0, False)


def test_a_block_that_claims_more_than_the_limit_is_refused_before_it_is_decompressed() -> None:
    body = bytes(cramjam.snappy.compress_raw(bytes(MAX_BATCH_BYTES + 1)))
    plain, whole = decompressed(DefaultRecordBase.CODEC_SNAPPY, body)
    assert (len(plain), whole) == (0, False)

from dataclasses import replace
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from schemas.redrive_headers import HISTORY, REDRIVES
from schemas.trimmed_letters import (
    HEADERS_LEFT_OUT,
    HEADERS_MOST,
    HEADERS_MOST_BYTES,
    KEY_BYTES,
    KEY_MOST,
    KEY_SHA256,
    VALUE_BYTES,
    VALUE_MOST,
    VALUE_SHA256,
    Absent,
    is_trimmed,
    kafka_key,
    kept,
)
from tests.unit.schemas.records import DEAD


def test_an_ordinary_record_is_kept_whole() -> None:
    found = kept(b"k", b"v", {"a": b"1", "null": None})
    assert (found.key, found.value, found.headers) == (b"k", b"v", {"a": b"1", "null": b""})
    assert kept(None, None, {}).headers == {}


def test_what_is_too_large_leaves_its_digest_and_size() -> None:
    key, value = bytes(KEY_MOST + 1), bytes(VALUE_MOST + 1)
    found = kept(key, value, {})
    assert (found.key, found.value) == (None, None)
    assert found.headers == {
        VALUE_SHA256: sha256(value).hexdigest().encode(),
        VALUE_BYTES: str(len(value)).encode(),
        KEY_SHA256: sha256(key).hexdigest().encode(),
        KEY_BYTES: str(len(key)).encode(),
    }
    assert kept(b"k", Absent(None, ""), {}).headers == {VALUE_SHA256: b"", VALUE_BYTES: b""}


def test_headers_that_came_with_the_record_do_not_pass_for_ours() -> None:
    assert kept(b"k", b"v", {VALUE_SHA256: b"ab", HEADERS_LEFT_OUT: b"7", "a": b""}).headers == {"a": b""}


def test_the_headers_that_recovery_needs_are_kept_first() -> None:
    many = {f"h{number}": b"x" for number in range(10_000)}
    found = kept(None, None, {**many, REDRIVES: b"2", HISTORY: b"[]", "traceparent": b"00"}).headers
    assert len(found) == HEADERS_MOST + 1
    assert {REDRIVES, HISTORY, "traceparent"} <= set(found)
    assert found[HEADERS_LEFT_OUT] == str(10_003 - HEADERS_MOST).encode()


@given(
    st.dictionaries(st.text(max_size=20), st.none() | st.binary(max_size=20_000) | st.just(bytes(40_000)), max_size=12)
)
def test_headers_never_take_more_than_their_room(headers: dict[str, bytes | None]) -> None:
    found = {name: value for name, value in kept(None, None, headers).headers.items() if name != HEADERS_LEFT_OUT}
    assert sum(len(name.encode()) + len(value) for name, value in found.items()) <= HEADERS_MOST_BYTES
    assert all(found[name] == (headers[name] or b"") for name in found)


def test_a_trimmed_dead_letter_is_known() -> None:
    assert not is_trimmed(DEAD)
    assert is_trimmed(replace(DEAD, headers={VALUE_SHA256: b""}))
    assert is_trimmed(replace(DEAD, headers={KEY_SHA256: b"ab"}))


def test_the_key_of_a_dead_letters_own_record_is_small() -> None:
    assert kafka_key(None) is None
    assert kafka_key(b"k") == b"k"
    assert kafka_key(bytes(KEY_MOST + 1)) == sha256(bytes(KEY_MOST + 1)).digest()

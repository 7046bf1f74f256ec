"""Sealing and opening: what opens, and what does not."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import Erased, Poison, Unknown, UnreadableState
from schemas.key_purposes import TOPIC_PURPOSES
from schemas.sealed_frame import OVERHEAD_BYTES, build, is_sealed, parse
from workers.privacy.clear_records import FORGED
from workers.privacy.envelope import (
    NONCES_AT_ONCE,
    fresh_nonce,
    open_field,
    open_state,
    seal,
    seal_field,
    seal_state,
    unseal,
)
from workers.privacy.keyring import Keyring

TOPIC, KIND = "risk.scored", "RiskScored"
VALUE = b"probability 0.73 of ann"


@pytest.fixture
def ring(keyring: Keyring) -> Keyring:
    keyring.warm_now(["ann", "ben"], enrol=True)
    return keyring


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(value=st.binary(max_size=5000), topic=st.sampled_from(sorted(TOPIC_PURPOSES)))
def test_what_is_sealed_opens(ring: Keyring, value: bytes, topic: str) -> None:
    sealed = seal(ring, topic, KIND, "ann", value)
    assert is_sealed(sealed)
    assert len(sealed) == len(value) + OVERHEAD_BYTES
    assert unseal(ring, topic, KIND, sealed) == ("ann", value)


def test_neither_content_nor_pseudonym_is_in_it(ring: Keyring) -> None:
    sealed = seal(ring, TOPIC, KIND, "ann", VALUE)
    assert b"ann" not in sealed
    assert b"0.73" not in sealed


def test_no_two_are_alike(ring: Keyring) -> None:
    nonces = {parse(seal(ring, TOPIC, KIND, "ann", VALUE)).nonce for _ in range(1000)}
    assert len(nonces) == 1000


def test_moved_to_another_topic_or_kind_it_is_forged(ring: Keyring) -> None:
    sealed = seal(ring, TOPIC, KIND, "ann", VALUE)
    for topic, kind in ((TOPIC, "RiskAlert"), *((other, KIND) for other in TOPIC_PURPOSES if other != TOPIC)):
        with pytest.raises(Poison) as caught:
            unseal(ring, topic, kind, sealed)
        assert caught.value.reason == FORGED


def test_moved_to_another_person_or_month_it_does_not_open(ring: Keyring) -> None:
    frame = parse(seal(ring, TOPIC, KIND, "ann", VALUE))
    with pytest.raises(Poison, match=FORGED):
        unseal(ring, TOPIC, KIND, build(ring.subject("ben"), frame.epoch, frame.nonce, frame.body))
    with pytest.raises(Unknown):
        unseal(ring, TOPIC, KIND, build(frame.subject, frame.epoch + 1, frame.nonce, frame.body))


def test_any_changed_bit_and_any_cut_is_found(ring: Keyring) -> None:
    sealed = seal(ring, TOPIC, KIND, "ann", VALUE)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1 << place % 8
        with pytest.raises((Poison, Unknown)):
            unseal(ring, TOPIC, KIND, bytes(changed))
        with pytest.raises(Poison, match=FORGED):
            unseal(ring, TOPIC, KIND, sealed[:place])
    with pytest.raises(Poison, match=FORGED):
        unseal(ring, TOPIC, KIND, sealed + b"\x00")


def test_after_erasure_nothing_opens_and_nothing_is_sealed(ring: Keyring) -> None:
    sealed = seal(ring, TOPIC, KIND, "ann", VALUE)
    subject = ring.subject("ann")
    ring.directory.destroy_keys(subject)
    ring.forget(subject)
    ring.warm_now(frames=[(subject, parse(sealed).epoch)])
    with pytest.raises(Erased):
        unseal(ring, TOPIC, KIND, sealed)
    with pytest.raises(Unknown):
        seal(ring, TOPIC, KIND, "ann", VALUE)
    assert unseal(ring, TOPIC, KIND, seal(ring, TOPIC, KIND, "ben", VALUE)) == ("ben", VALUE)


def test_equal_states_are_equal_bytes_in_their_place_only(ring: Keyring) -> None:
    sealed = seal_state(ring, "drift", "ann", VALUE)
    assert sealed == seal_state(ring, "drift", "ann", VALUE)
    assert sealed != seal_state(ring, "drift", "ben", VALUE)
    assert sealed != seal_state(ring, "join", "ann", VALUE)
    assert len(sealed) == len(VALUE) + 16
    assert open_state(ring, "drift", "ann", sealed) == VALUE
    for place, user, value in (("join", "ann", sealed), ("drift", "ben", sealed), ("drift", "ann", sealed[:-1])):
        with pytest.raises(UnreadableState):
            open_state(ring, place, user, value)


@pytest.mark.parametrize("value", [b"", b"\x83clear", b"x" * 15, bytes(100)])
def test_a_value_in_clear_is_no_sealed_state(ring: Keyring, value: bytes) -> None:
    with pytest.raises(UnreadableState):
        open_state(ring, "drift", "ann", value)


def test_columns_open_in_their_place_and_for_their_person(ring: Keyring) -> None:
    subject = ring.subject("ann")
    sealed = seal_field(ring, "alerts.summary", "ann", b"")
    assert open_field(ring, "alerts.summary", subject, sealed) == b""
    sealed = seal_field(ring, "alerts.summary", "ann", VALUE)
    assert open_field(ring, "alerts.summary", subject, sealed) == VALUE
    for place, owner in (("alerts.kind", subject), ("alerts.summary", ring.subject("ben"))):
        with pytest.raises(UnreadableState):
            open_field(ring, place, owner, sealed)
    for damaged in (b"", b"clear text", sealed[:-4], b"\x01"):
        with pytest.raises(UnreadableState):
            open_field(ring, "alerts.summary", subject, damaged)
    with pytest.raises(UnreadableState) as caught:
        open_field(ring, "alerts.summary", subject, b"\x02" + sealed[1:])
    assert caught.value.newer


def test_no_nonce_is_given_twice_to_any_thread() -> None:
    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda _: fresh_nonce(), range(50 * NONCES_AT_ONCE)))
    assert {len(nonce) for nonce in given} == {12}
    assert len(set(given)) == len(given)


def test_a_forked_process_does_not_get_the_nonces_of_its_parent() -> None:
    fresh_nonce()  # some are left that a copy of this process would have as well
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writing, b"".join(fresh_nonce() for _ in range(NONCES_AT_ONCE)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    ours = {fresh_nonce() for _ in range(NONCES_AT_ONCE)}
    assert len(theirs) == NONCES_AT_ONCE * 12
    assert not ours & {theirs[start : start + 12] for start in range(0, len(theirs), 12)}

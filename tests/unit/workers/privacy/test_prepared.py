"""What is prepared of people: used while their keys may be, and dropped with them."""

from dataclasses import dataclass

import pytest

from schemas.errors import Erased, Unknown
from schemas.key_purposes import Purpose
from schemas.sealed_frame import parse_header
from workers.privacy import prepared as module
from workers.privacy.keyring import Keyring


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0


def test_what_is_prepared_of_a_person_is_dropped_with_their_keys_and_of_no_other(keyring: Keyring) -> None:
    keyring.warm_now(["ann", "ben"], enrol=True)
    ann, ben = keyring.prepared("ann"), keyring.prepared("ben")
    head, cipher = keyring.sealer(ann, Purpose.SCORES)
    assert keyring.sealer(keyring.prepared("ann"), Purpose.SCORES).cipher is cipher
    assert keyring.opener(head, Purpose.SCORES) == (ann, keyring.opener(head, Purpose.SCORES)[1])
    keyring.forget(ann.subject)
    assert ann.until < keyring.now()
    assert (ann.sealers, ann.openers, ann.subkeys) == ({}, {}, {})
    assert keyring.prepared("ben") is ben
    with pytest.raises(Unknown):
        keyring.opener(head, Purpose.SCORES)
    keyring.directory.destroy_keys(ann.subject)
    keyring.warm_now(frames=[parse_header(head)])
    with pytest.raises(Erased):
        keyring.opener(head, Purpose.SCORES)


def test_a_person_who_is_read_anew_is_prepared_anew_and_others_are_not(keyring: Keyring) -> None:
    clock = Clock()
    ring = Keyring(keyring.directory, 600.0, lambda: clock.now)
    ring.warm_now(["ann"], enrol=True)
    clock.now += 200
    ring.warm_now(["ben"], enrol=True)
    ann, ben = ring.prepared("ann"), ring.prepared("ben")
    clock.now += 200
    ring.warm_now(["ann", "ben"])
    assert ring.prepared("ann") is not ann
    assert ring.prepared("ben") is ben
    assert ann.until < clock.now


def test_what_is_prepared_is_used_no_longer_than_keys_are_kept(keyring: Keyring) -> None:
    clock = Clock()
    ring = Keyring(keyring.directory, 600.0, lambda: clock.now)
    ring.warm_now(["ann"], enrol=True)
    ann = ring.prepared("ann")
    clock.now += 601
    with pytest.raises(Unknown):
        ring.prepared("ann")
    with pytest.raises(Unknown):
        ring.prepared_of(ann.subject)
    ring.warm_now(["ann"])
    assert ring.prepared("ann") is not ann


def test_few_people_are_prepared_at_once(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREPARED", 2)
    keyring.warm_now(["ann", "ben", "cat"], enrol=True)
    first = keyring.prepared("ann")
    for user in ("ben", "cat", "ann", "ben"):
        assert keyring.prepared(user).user == user
        assert len(keyring._prepared) <= 2
    assert keyring.prepared("ann") is not first

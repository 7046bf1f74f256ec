"""The keyring of a process, while a person is erased by another one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from schemas.errors import Erased
from schemas.key_purposes import LASTING, Purpose
from schemas.settings import Settings
from tests.keys import sealing
from workers.privacy.holders.held_keyring import HeldKeyring
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import ERASURES
from workers.privacy.keyring import Keyring

ANNA, BEN = "anna", "ben"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return sealing(tmp_path)


@pytest.fixture
def keyring(settings: Settings) -> Iterator[HeldKeyring]:
    opened = Keyring.open(settings)
    assert isinstance(opened, HeldKeyring)
    opened.warm_now([ANNA, BEN], enrol=True)
    yield opened
    opened.close()


def refused_elsewhere(settings: Settings) -> bytes:
    """Another process begins to erase Anna."""
    directory = KeyDirectory.open(settings)
    subject = directory.subjects_of([ANNA])[ANNA].id
    row = {"subject": subject, "person": "ab" * 32, "reason": "asked", "done": "{}", "started_at": datetime.now(UTC)}
    with directory.database.writing() as connection:
        connection.execute(insert(ERASURES), row)
    directory.mark_erasing(ANNA)
    directory.close()
    return subject


def test_keys_go_at_once_and_the_person_counts_as_erased(settings: Settings, keyring: HeldKeyring) -> None:
    ciphers = keyring.sealer(keyring.prepared(ANNA), Purpose.FEATURES), keyring.state_cipher(ANNA)
    assert all(ciphers)
    subject = refused_elsewhere(settings)
    keyring._holder.beat()
    uses: list[Callable[[], object]] = [
        lambda: keyring.subkey(subject, LASTING, Purpose.STATE),
        lambda: keyring.sealer(keyring.prepared(ANNA), Purpose.FEATURES),
        lambda: keyring.state_cipher(ANNA),
        lambda: keyring.subject(ANNA),
    ]
    for use in uses:
        with pytest.raises(Erased):
            use()
    assert keyring.sealer(keyring.prepared(BEN), Purpose.FEATURES)
    assert not keyring._people[subject].keys


def test_what_another_thread_was_reading_is_not_kept(
    settings: Settings, keyring: HeldKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the keys before Anna was refused, and has them only after this process noted that it dropped them."""
    subject = keyring.subject(ANNA)
    keyring.forget(subject)
    keep = keyring._keep

    def late(*read: Any) -> None:
        keyring._lock.release()
        refused_elsewhere(settings)
        keyring._holder.beat()
        keyring._lock.acquire()
        keep(*read)

    monkeypatch.setattr(keyring, "_keep", late)
    keyring.warm_now(frames=[(subject, LASTING)])
    assert subject not in keyring._people
    monkeypatch.undo()
    keyring.warm_now(frames=[(subject, LASTING)])
    with pytest.raises(Erased):
        keyring.user(subject)

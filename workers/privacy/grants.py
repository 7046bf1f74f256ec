"""Keys for one purpose, for a reader outside that has a right to them: they open the records of one topic alone."""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.errors import Erased, Unknown
from schemas.key_purposes import Purpose
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring

TOGETHER = 500
"""Keys that are read at once."""


class Grant(NamedTuple):
    """The key of a person, a month and a purpose. subject, key: hexadecimal digits; user_id: the pseudonym."""

    subject: str
    epoch: int
    key: str
    user_id: str


def grants(directory: KeyDirectory, keyring: Keyring, purpose: Purpose) -> Iterator[Grant]:
    """The keys of all people who were not erased, for this purpose. Blocks; raises Transient."""
    known = directory.months_of_people()
    for start in range(0, len(known), TOGETHER):
        some = known[start : start + TOGETHER]
        keyring.warm_now(frames=some)
        for subject, epoch in some:
            try:
                key = keyring.subkey(subject, epoch, purpose)
                yield Grant(subject.hex(), epoch, key.hex(), keyring.user(subject))
            except (Erased, Unknown):
                continue

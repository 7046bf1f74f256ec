"""What represents a person in the audit trail, and the keys of the trail.

One secret, `UNDERTONE_AUDIT_KEY`, gives two keys: one for the `mac` of events, one for the keyed hashes that represent
people. Whoever has neither cannot invent an event, nor try which pseudonym gives a keyed hash.
"""

import hmac
from typing import NamedTuple, Self

STARTS = "start."
"""Before the name of a role, in the resource of the event of its start."""
KEYLESS_STARTS = (f"{STARTS}worker.", f"{STARTS}bridge.")
"""Starts of roles that read what others send, or speak to the outside, and so get no key: their events have no `mac`.
Nothing else about an event without it is believed, and it is about no person."""
KEYED = "hmac-sha256:"
"""Before a keyed hash of a pseudonym, so that a reader can distinguish it."""


class AuditKeys(NamedTuple):
    """Keys of the trail. events: of `mac`; people: of keyed hashes; None where the trail has no such key."""

    events: bytes | None = None
    people: bytes | None = None

    @classmethod
    def of(cls, secret: bytes) -> Self:
        """Both keys of one secret."""
        return cls(*(hmac.digest(secret, f"undertone audit {use}".encode(), "sha256") for use in ("events", "people")))

    def person(self, user_id: str) -> str:
        """What the trail has for the person with this pseudonym: a keyed hash, or without a key the pseudonym itself.

        The same person gives the same text, and an erased one's leads nowhere once no one knows the pseudonym.

        >>> AuditKeys().person("p-1"), AuditKeys(people=b"key").person("p-1")[:20]
        ('p-1', 'hmac-sha256:27a97b25')
        """
        if self.people is None or user_id.startswith(KEYED):
            return user_id
        return KEYED + hmac.digest(self.people, user_id.encode(), "sha256").hex()

"""Trails of tests: events of several writers on partitions, and heads that were signed meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.audit_chain import linked
from schemas.audit_keys import AuditKeys
from schemas.codec import Codec
from schemas.event_enums import ActorProof, AuditAction
from schemas.events import AuditEvent
from streams.audit.heads import SignedHead, mark_of
from streams.audit.sign_heads import joined, next_head
from streams.audit.signing import Signer, Trusted
from streams.audit.verify import Stored, Verdict, Verification

AT = datetime(2026, 5, 1, 8, tzinfo=UTC)
KEYS = AuditKeys.of(b"the key of the trail of these tests")
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TRUSTED = Trusted.of(SIGNER.private.public_key())
CODEC = Codec()
PARTITIONS = 3


@dataclass(slots=True)
class Trail:
    """The topic as it is, and what was signed of it. anchored: lines of each anchor."""

    records: dict[int, list[Stored]] = field(default_factory=lambda: {number: [] for number in range(PARTITIONS)})
    anchored: dict[str, list[bytes]] = field(default_factory=lambda: {"file": []})
    events: list[AuditEvent] = field(default_factory=list)
    signed: dict[int, int] = field(default_factory=dict)
    """The next offset of each partition that the last head covers."""
    heads: list[SignedHead] = field(default_factory=list)

    def copy(self) -> "Trail":
        """The same trail, to be tampered with."""
        records = {number: list(each) for number, each in self.records.items()}
        anchored = {name: list(lines) for name, lines in self.anchored.items()}
        return Trail(records, anchored, self.events, self.signed, self.heads)

    def append(self, event: AuditEvent, partition: int) -> None:
        """Kafka has the event."""
        log = self.records[partition]
        offset = log[-1].offset + 1 if log else 0
        log.append(Stored(partition, offset, event.actor.encode(), CODEC.encode(event)))
        self.events.append(event)

    def sign(self, at: datetime) -> None:
        """The next head, on every anchor."""
        last = self.heads[-1] if self.heads else None
        since = {
            number: [(each.offset, mark_of(each.key, each.value)) for each in log if each.offset >= self.after(number)]
            for number, log in self.records.items()
        }
        head = next_head(last, since, SIGNER, round(at.timestamp() * 1000))
        assert head is not None
        self.heads.append(head)
        for lines in self.anchored.values():
            lines.append(head.line())

    def after(self, partition: int) -> int:
        """Where the part of a partition begins that no head covers."""
        parts = self.heads[-1].head.partitions if self.heads else {}
        return parts[partition].next if partition in parts else 0

    def verdict(
        self,
        keys: AuditKeys = KEYS,
        trusted: Trusted = TRUSTED,
        now: datetime = AT,
        begins: dict[int, int] | None = None,
    ) -> Verdict:
        """What a check finds. begins: first offsets that the broker names."""
        heads, of_heads = joined(self.anchored, trusted)
        oldest = now - timedelta(days=2192)
        check = Verification(
            CODEC, begins or dict.fromkeys(self.records, 0), heads, keys, round(oldest.timestamp() * 1000)
        )
        for log in self.records.values():
            for record in log:
                check.take(record)
        return check.verdict(of_heads)


def event(number: int, actor: str) -> AuditEvent:
    """A look, no two alike."""
    return AuditEvent(
        f"audit-{number}",
        AT + timedelta(seconds=number),
        actor,
        "clinician",
        AuditAction.VIEWED,
        "person",
        (KEYS.person(f"p-{number}"),),
        proof=ActorProof.OIDC,
    )


def trail(events: int, heads: int, tail: int, seed: int = 1, anchors: Sequence[str] = ("file",)) -> Trail:
    """A trail of three writers. heads: of all events but the last `tail`."""
    rng, made = Random(seed), Trail(anchored={name: [] for name in anchors})
    chains: dict[str, AuditEvent | None] = {f"{rng.randrange(16**32):032x}": None for _ in range(3)}
    every = max((events - tail) // max(heads, 1), 1)
    for number in range(1, events + 1):
        writer = rng.choice(list(chains))
        before = chains[writer]
        seq, prev = (1, None) if before is None else (before.seq + 1, before.hash)
        new = linked(event(number, rng.choice(("ann", "bob", "cem"))), writer, seq, prev, KEYS.events)
        chains[writer] = new
        made.append(new, rng.randrange(PARTITIONS))
        if number <= events - tail and number % every == 0:
            made.sign(AT + timedelta(seconds=number))
    made.signed = {number: made.after(number) for number in made.records}
    return made


def rewritten(log: Sequence[Stored]) -> list[Stored]:
    """A log as a broker would show it after its records were moved: offsets without a gap."""
    begin = min((each.offset for each in log), default=0)
    return [replace(each, offset=begin + place) for place, each in enumerate(log)]


Tampering = Callable[[Trail, Random], str]

"""The records of people who work with Undertone: what they did, what people said, and what they looked at."""

from dataclasses import dataclass
from datetime import datetime

from schemas.event_enums import ActorProof, AuditAction, CareActionKind, CareOutcome, ConsentState, MarkKind


@dataclass(frozen=True, slots=True)
class CareAction:
    """What somebody did about a user or one of their episodes. A repeated `action_id` is the same action.

    user_id: the pseudonym, also the key; at: when; actor: the subject that the identity provider gives, or `local`;
    dedup_key: the episode, where it is about one; outcome: of an acknowledgement; note: free text, which may hold
    personal data; assignee: subject of the colleague who takes over the episode; since and until: of a mute or a
    mark, `until` None for one that still holds; mark and excluded: of a mark, and whether memos within it are left out
    of the user's baseline; mark_id: `action_id` of the mark that is taken back or changed.
    """

    action_id: str
    user_id: str
    at: datetime
    actor: str
    action: CareActionKind
    dedup_key: str | None = None
    outcome: CareOutcome | None = None
    note: str | None = None
    assignee: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    mark: MarkKind | None = None
    excluded: bool = False
    mark_id: str | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person said to being listened to; the last record of a person holds. A repeated `consent_id` is the same.

    user_id: the pseudonym, also the key; at: when it was recorded; actor: as in CareAction; reason: free text, which
    may hold personal data.
    """

    consent_id: str
    user_id: str
    at: datetime
    state: ConsentState
    actor: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One look at people's data, one change, or one step of a session: who, what, when, and why if it was said.

    actor: the subject that the identity provider gives, that of a certificate, the user of a machine, `local`, or
    `unknown` for somebody who is not signed in; also the key; role: in which the actor may do this; resource: what was
    looked at, such as `person`, `caseload` or `scores.csv`, never an address; user_ids: whose data was shown, as
    pseudonyms or as keyed hashes of them; reason: what the actor gave as one; allowed: False when it was refused;
    proof: what showed who the actor is; via: user and machine of a command, as `ann@host`.

    The rest is the chain (`schemas/audit_chain.py`): writer: random id of one chain; seq: number within it, from 1;
    prev: hash of the writer's event before, None for its first; hash: of this event; mac: by the key of Undertone's own
    writers. An event of before 0.6 has none of them, and `seq` 0.
    """

    audit_id: str
    at: datetime
    actor: str
    role: str
    action: AuditAction
    resource: str
    user_ids: tuple[str, ...] = ()
    reason: str | None = None
    allowed: bool = True
    proof: ActorProof = ActorProof.UNKNOWN
    via: str | None = None
    writer: str | None = None
    seq: int = 0
    prev: str | None = None
    hash: str | None = None
    mac: str | None = None

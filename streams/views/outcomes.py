"""What became of submitted memos: a score, a dead letter, or nothing yet. Pure."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskScored

Identity: TypeAlias = tuple[str, str]
"""User and memo: memo ids are unique per user only."""
Outcome: TypeAlias = RiskScored | DeadLetter


def recorded_memo(letter: DeadLetter, codec: Codec) -> MemoUploaded | MemoFeatures | RiskScored | None:
    """The record in a dead letter; None when it cannot be decoded, or was too large to be kept."""
    kinds = {topic.name: topic.record for topic in (topics.UPLOADED, topics.FEATURES, topics.SCORED)}
    if letter.topic not in kinds or letter.value is None:
        return None
    with suppress(DecodeError):
        record: MemoUploaded | MemoFeatures | RiskScored = codec.decode(letter.value, kinds[letter.topic])
        return record
    return None


def memo_of(letter: DeadLetter, codec: Codec) -> Identity | None:
    """User and memo of the record in a dead letter, where that can be decoded."""
    record = recorded_memo(letter, codec)
    return None if record is None else (record.user_id, record.memo_id)


@dataclass(slots=True)
class Outcomes:
    """Collects the outcomes of memos that are waited for; a score replaces a dead letter, as a redrive leads to one."""

    awaited: frozenset[Identity]
    found: dict[Identity, Outcome] = field(default_factory=dict)

    @classmethod
    def of(cls, memos: Iterable[Identity]) -> "Outcomes":
        """No outcome of these memos is known yet."""
        return cls(frozenset(memos))

    def add(self, memo: Identity | None, outcome: Outcome) -> None:
        """Note an outcome, in the order of its topic; those of other memos are ignored."""
        if memo in self.awaited and not (
            isinstance(outcome, DeadLetter) and isinstance(self.found.get(memo), RiskScored)
        ):
            self.found[memo] = outcome

    @property
    def missing(self) -> frozenset[Identity]:
        """Memos without an outcome."""
        return self.awaited - self.found.keys()

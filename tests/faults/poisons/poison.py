"""What one poison is: the records that are sent, what is put into Redis before, and the outcome that is documented."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from redis import Redis

from tests.faults.parade.crowd import noise
from tests.faults.poisons import avro
from tests.unit.schemas.registry_server import RegistryServer
from workers.privacy.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Found:
    """What a record came to. letters: reasons of its dead letters; scores, alerts: ids of those of its memo."""

    letters: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Letter:
    """Exactly one dead letter, whose reason matches, and no score."""

    reason: str

    def matches(self, found: Found) -> bool:
        """Whether that is what was found."""
        return len(found.letters) == 1 and bool(re.fullmatch(self.reason, found.letters[0])) and not found.scores


@dataclass(frozen=True, slots=True)
class Scored:
    """Exactly one score, and no dead letter."""

    def matches(self, found: Found) -> bool:
        """Whether that is what was found."""
        return len(found.scores) == 1 and not found.letters


@dataclass(frozen=True, slots=True)
class Nothing:
    """No score and no dead letter."""

    def matches(self, found: Found) -> bool:
        """Whether that is what was found."""
        return found == Found()


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert about its memo, and no dead letter."""

    def matches(self, found: Found) -> bool:
        """Whether that is what was found."""
        return bool(found.alerts) and not found.letters


Outcome = Letter | Scored | Nothing | Alerted


class RawKey(str):
    """The key of a header in bytes that are no UTF-8. A client encodes text, and this text to `raw`."""

    raw: bytes

    def __new__(cls, raw: bytes) -> "RawKey":
        """The key that stands for these bytes."""
        key = super().__new__(cls, raw.decode("latin-1"))
        key.raw = raw
        return key

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes themselves, whatever the encoding."""
        return self.raw


Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """One record. outcomes: those that are documented, one of which must be found; memo: user and memo of the score
    that is looked for; at_ms: the record's own timestamp, now if 0.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    outcomes: tuple[Outcome, ...]
    memo: tuple[str, str] = ("", "")
    headers: Headers = ()
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Poison:
    """One row of the table. codec: compression of its batch; transaction: how it ends, "" for none; before: puts
    something into Redis; alone: it marches ahead of all, since what it does to Redis concerns everybody.
    """

    name: str
    records: tuple[Sent, ...]
    codec: str = "none"
    transaction: str = ""
    before: Callable[[Redis], object] | None = None
    alone: bool = False


@dataclass(slots=True)
class Kitchen:
    """Where poisons are made. folder: of the audio; sound: the audio of a memo with which nothing is wrong; registry:
    of writer schemas; keyring: to seal records with, where the system seals.
    """

    folder: Path
    sound: bytes
    registry: RegistryServer
    keyring: Keyring | None = None
    _served: int = field(default=0)

    def audio(self, data: bytes | None = None) -> str:
        """The URI of a file with these bytes; of good audio without any."""
        self._served += 1
        path = self.folder / f"poison-{self._served:04d}.bin"
        path.write_bytes(self.sound if data is None else data)
        return path.as_uri()

    def sounds(self, number: int) -> bytes:
        """Another sound for every number, with which nothing is wrong."""
        return noise(np.random.default_rng([7, number]))

    def register(self, schema: str) -> int:
        """Put a writer schema, or what is none, into the registry; its id."""
        self.registry.schemas.append({"schema": schema})
        return len(self.registry.schemas)

    def upload(self, name: str, *outcomes: Outcome, audio: bytes | None = None, **changes: object) -> Sent:
        """An upload of a user of its own. audio: what lies in its file; changes: of its fields."""
        user = str(changes.pop("user_id", f"poison {name}"))
        memo = str(changes.pop("memo_id", f"memo of {name}"))
        content = avro.upload(user, memo, str(changes.pop("audio_uri", None) or self.audio(audio)), **changes)  # type: ignore[arg-type]
        key = user.encode("utf-8", "replace")
        return Sent("memos.uploaded", key, avro.framed("memo_uploaded", content), outcomes, (user, memo))


def sent(topic: str, name: str, value: bytes | None, *outcomes: Outcome, memo: tuple[str, str] = ("", "")) -> Sent:
    """A record on any topic, keyed by a user of its own."""
    return Sent(topic, f"poison {name}".encode(), value, outcomes, memo)

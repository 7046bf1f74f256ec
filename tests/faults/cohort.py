"""Who speaks in a scenario, and what: memos of a few users, some of whom change near the end.

The "audio" of a memo for cheap stages is the vector that scoring will see, in standard deviations of the bundle's
population, as float32: so the whole way depends on the very bytes of the very file.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np

from schemas.events import FloatArray, MemoUploaded
from schemas.ids import memo_id
from schemas.settings import SHIPPED_BUNDLE
from workers.scoring.bundle import Bundle

FIRST_DAY = datetime(2026, 1, 1, 8, tzinfo=UTC)
CHANGE_SD = 8.0
"""How far the score of a changed user moves, in standard deviations of a calm user's."""
BROKEN = b"nothing"
"""What lies where the audio of a poisoned memo should: seven bytes are no numbers of four bytes each."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """users: each speaks once a day; changing: the first so many change after `calm_days`; every `poison_every`-th memo
    of a calm day cannot be read, none when it is 0.
    """

    users: int
    changing: int
    calm_days: int
    changed_days: int
    poison_every: int = 0
    seed: int = 1

    @property
    def memos(self) -> int:
        """All memos together."""
        return self.users * (self.calm_days + self.changed_days)

    @property
    def changes_at(self) -> datetime:
        """When the first changed memo is recorded."""
        return FIRST_DAY + timedelta(days=self.calm_days)

    def broken(self, number: int) -> bool:
        """Whether the n-th memo cannot be read."""
        calm = number < self.users * self.calm_days
        return calm and self.poison_every > 0 and number % self.poison_every == self.poison_every - 1

    def write(self, folder: Path) -> Iterator[MemoUploaded]:
        """Write the audio of all memos, and give their events day by day."""
        bundle = Bundle.load(SHIPPED_BUNDLE)
        worse = worsening(bundle)
        rng = np.random.default_rng(self.seed)
        habits = rng.normal(0, 0.5, (self.users, len(worse)))
        for number in range(self.memos):
            day, user = divmod(number, self.users)
            changed = day >= self.calm_days and user < self.changing
            vector = habits[user] + rng.normal(0, 1, len(worse)) + changed * worse
            audio = BROKEN if self.broken(number) else vector.astype("<f4").tobytes()
            yield self._event(folder, day, user, audio)

    def _event(self, folder: Path, day: int, user: int, audio: bytes) -> MemoUploaded:
        name, at = f"user-{user:03d}", FIRST_DAY + timedelta(days=day, seconds=user)
        digest = hashlib.sha256(audio).hexdigest()
        path = folder / f"{name}-{day:03d}.f32"
        path.write_bytes(audio)
        return MemoUploaded(memo_id(name, digest, at), name, at, at + timedelta(minutes=1), path.as_uri(), digest)


def again(memos: Sequence[MemoUploaded]) -> Iterator[MemoUploaded]:
    """These memos, and after the last of them the same recordings as memos of later minutes, without an end."""
    for round_ in count():
        for memo in memos:
            later = memo.recorded_at + timedelta(minutes=round_)
            name = memo_id(memo.user_id, memo.sha256 or "", later)
            yield replace(memo, memo_id=name, recorded_at=later, uploaded_at=later + timedelta(minutes=1))


def worsening(bundle: Bundle) -> FloatArray:
    """What a change adds to a user's vector: `CHANGE_SD` along the weights of the bundle's head."""
    coefficients: FloatArray = bundle.head.weights()["coefficients"]
    return CHANGE_SD * coefficients / np.linalg.norm(coefficients)


def acoustic_summary(bundle: Bundle, vector: FloatArray) -> FloatArray:
    """The acoustic features, by the bundle's names, of a memo so many standard deviations from the population."""
    people, names = bundle.population, bundle.space.acoustic
    summary: FloatArray = (people.mean + np.sqrt(people.within) * vector)[: len(names)].astype(np.float32)
    return summary


def embedding_summary(bundle: Bundle, vector: FloatArray) -> FloatArray:
    """The embedding whose place on the bundle's axes is so many standard deviations from the population."""
    people, space = bundle.population, bundle.space
    wanted = (people.mean + np.sqrt(people.within) * vector)[len(space.acoustic) :]
    summary: FloatArray = (space.centre + wanted @ np.linalg.pinv(space.axes)).astype(np.float32)
    return summary

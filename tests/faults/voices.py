"""Speakers for the real workers: short memos of simulated voices, as files that the whole way decodes and hears."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile

from schemas.events import MemoUploaded
from schemas.ids import memo_id
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import speak

FIRST_DAY = datetime(2026, 1, 1, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Voices:
    """users: each with a voice of their own, which speaks once a day; changing: the first so many speak as heavily as
    the simulation can after `calm_days`; seconds: of a memo.
    """

    users: int
    changing: int
    calm_days: int
    changed_days: int
    seconds: float
    seed: int = 2

    @property
    def changes_at(self) -> datetime:
        """When the first changed memo is recorded."""
        return FIRST_DAY + timedelta(days=self.calm_days)

    def write(self, folder: Path) -> Iterator[MemoUploaded]:
        """Write all memos as 16-bit WAV, and give their events day by day."""
        voices = [random_voice(np.random.default_rng([self.seed, user])) for user in range(self.users)]
        for day in range(self.calm_days + self.changed_days):
            for user, calm in enumerate(voices):
                rng = np.random.default_rng([self.seed, user, day])
                changed = day >= self.calm_days and user < self.changing
                voice = voice_at(calm, 1.0, rng) if changed else calm
                name, at = f"user-{user:03d}", FIRST_DAY + timedelta(days=day, seconds=user)
                path = folder / f"{name}-{day:03d}.wav"
                soundfile.write(path, speak(voice, self.seconds, rng)[0], SAMPLING_RATE)
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                memo = memo_id(name, digest, at)
                yield MemoUploaded(memo, name, at, at + timedelta(minutes=1), path.as_uri(), digest)

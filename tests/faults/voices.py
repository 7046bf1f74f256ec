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
from workers.memo import SAMPLING_RATE
from workers.training.synthetic import random_voice
from workers.training.voice import speak

FIRST_DAY = datetime(2026, 1, 1, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Voices:
    """users: each with a voice of their own that speaks once a day, for so many days; seconds: of a memo."""

    users: int
    days: int
    seconds: float
    changes_at: datetime = FIRST_DAY
    seed: int = 2

    def write(self, folder: Path) -> Iterator[MemoUploaded]:
        """Write all memos as 16-bit WAV, and give their events day by day."""
        voices = [random_voice(np.random.default_rng([self.seed, user])) for user in range(self.users)]
        for day in range(self.days):
            for user, voice in enumerate(voices):
                rng = np.random.default_rng([self.seed, user, day])
                name, at = f"user-{user:03d}", FIRST_DAY + timedelta(days=day, seconds=user)
                path = folder / f"{name}-{day:03d}.wav"
                soundfile.write(path, speak(voice, self.seconds, rng)[0], SAMPLING_RATE)
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                memo = memo_id(name, digest, at)
                yield MemoUploaded(memo, name, at, at + timedelta(minutes=1), path.as_uri(), digest)

"""The good memos among which poisons march: short sounds of a few users, some of whom change near the end."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from schemas.events import MemoUploaded
from schemas.ids import memo_id
from tests.faults.cohort import FIRST_DAY
from workers.audio.memo import SAMPLING_RATE

SECONDS = 1.0
SMOOTHING = 8
"""Samples over which the noise of a calm user is averaged: it has few zero crossings, as BRIGHT wants."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """users: each speaks once a day; changing: the first so many change after `calm_days`."""

    users: int
    changing: int
    calm_days: int
    changed_days: int
    seed: int = 3

    @property
    def changed(self) -> list[date]:
        """The days on which some have changed."""
        return [(FIRST_DAY + timedelta(days=self.calm_days + day)).date() for day in range(self.changed_days)]

    def write(self, folder: Path) -> Iterator[MemoUploaded]:
        """Write the audio of all memos, and give their events day by day."""
        for day in range(self.calm_days + self.changed_days):
            for user in range(self.users):
                changed = day >= self.calm_days and user < self.changing
                sound = noise(np.random.default_rng([self.seed, user, day]), bright=changed)
                name, at = f"user-{user:03d}", FIRST_DAY + timedelta(days=day, seconds=user)
                path = folder / f"{name}-{day:03d}.wav"
                path.write_bytes(sound)
                digest = hashlib.sha256(sound).hexdigest()
                memo = memo_id(name, digest, at)
                yield MemoUploaded(memo, name, at, at + timedelta(minutes=1), path.as_uri(), digest)


def noise(rng: np.random.Generator, *, bright: bool = False, seconds: float = SECONDS) -> bytes:
    """A WAV file with noise, of one memo."""
    signal = rng.normal(0, 0.2, round(seconds * SAMPLING_RATE))
    if not bright:
        signal = np.convolve(signal, np.ones(SMOOTHING) / SMOOTHING, "same")
    out = BytesIO()
    soundfile.write(out, np.clip(signal, -0.9, 0.9), SAMPLING_RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()

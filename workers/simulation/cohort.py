"""Simulate users over weeks: times of memos, severity and voice.

`severity`, from 0 to 1, exists only in this simulation: the direction of its effect on a voice follows published
findings, the size is invented. Models trained on these voices have learned the simulator, nothing else.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from schemas.events import FloatArray
from workers.simulation.source_filter import Truth, Voice, speak

MEMO_S = (8.0, 14.0)
"""Shortest and longest memo of a cohort."""
USERS_MIN = 6


class Course(StrEnum):
    """Course of a user's severity over the weeks."""

    STABLE = "stable"
    """Stays low, with good and bad days."""
    WORSENS = "worsens"
    """Rises permanently, from about the middle of the weeks."""
    RECOVERS = "recovers"
    """Rises after a third of the weeks and is back at its start in the last quarter."""


@dataclass(frozen=True, slots=True)
class ScriptedMemo:
    """One memo to synthesise. severity: planted, 0 to 1; seed: of the memo's generator."""

    recorded_at: datetime
    severity: float
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class ScriptedUser:
    """A simulated user: voice, course, and memos by time."""

    user_id: str
    voice: Voice
    course: Course
    memos: tuple[ScriptedMemo, ...]


def cohort(
    seed: int, users: int, days: int, start: datetime, *, memos_per_day: float = 1.0
) -> tuple[ScriptedUser, ...]:
    """A cohort whose first user worsens, whose second worsens and recovers, and whose others stay stable.

    users: at least 6; days: at least 28, else ValueError; start: midnight of the first day, aware. Deterministic, and
    a user's script does not depend on the number of users.
    """
    if users < USERS_MIN or days < 28:
        raise ValueError(f"a cohort has at least {USERS_MIN} users and 28 days, not {users} and {days}")
    courses = (Course.WORSENS, Course.RECOVERS, *[Course.STABLE] * (users - 2))
    return tuple(
        _user(f"synthetic-{number:02d}", course, np.random.default_rng([seed, number]), days, start, memos_per_day)
        for number, course in enumerate(courses, 1)
    )


def severity_at(course: Course, share: float) -> float:
    """Planted severity after `share` (0 to 1) of the weeks, without day-to-day noise.

    >>> [round(severity_at(Course.RECOVERS, share), 2) for share in (0.0, 0.55, 1.0)]
    [0.1, 0.79, 0.1]
    """
    rise, height = 0.03, 0.7
    if course is Course.WORSENS:
        return 0.1 + height * _step((share - 0.55) / rise)
    if course is Course.RECOVERS:
        return 0.1 + height * (_step((share - 0.4) / rise) - _step((share - 0.7) / rise))
    return 0.1


def random_voice(rng: np.random.Generator) -> Voice:
    """The usual voice of a new speaker, low or high."""
    high = bool(rng.random() < 0.5)
    return Voice(
        f0_hz=float(rng.normal(205.0, 20.0) if high else rng.normal(118.0, 14.0)),
        f0_range_st=float(rng.uniform(6.0, 10.0)),
        jitter=float(rng.uniform(0.005, 0.010)),
        shimmer=float(rng.uniform(0.03, 0.06)),
        hnr_db=float(rng.uniform(18.0, 24.0)),
        creak_share=float(rng.uniform(0.0, 0.06)),
        open_quotient=float(rng.uniform(0.55, 0.65)),
        formant_scale=float(rng.normal(1.16 if high else 1.0, 0.03)),
        syllables_per_s=float(rng.uniform(4.0, 5.2)),
        pause_share=float(rng.uniform(0.10, 0.20)),
        pauses_per_min=float(rng.uniform(12.0, 18.0)),
        level_db=float(rng.uniform(-28.0, -23.0)),
        level_sd_db=float(rng.uniform(1.8, 2.8)),
        snr_db=float(rng.uniform(28.0, 40.0)),
    )


def voice_at(voice: Voice, severity: float, rng: np.random.Generator) -> Voice:
    """The voice on a day of this severity: slower with more and longer pauses, lower, flatter, rougher, softer.

    Whatever the severity, every trait varies slightly from day to day, and so does the room noise.
    """
    s = float(np.clip(severity, 0.0, 1.0))
    return replace(
        voice,
        f0_hz=voice.f0_hz * 2 ** ((rng.normal(0.0, 0.35) - 1.5 * s) / 12),
        f0_range_st=voice.f0_range_st * _around(rng, 0.07) * (1 - 0.5 * s),
        jitter=voice.jitter * _around(rng, 0.08) * (1 + 0.9 * s),
        shimmer=voice.shimmer * _around(rng, 0.08) * (1 + 0.8 * s),
        hnr_db=voice.hnr_db + rng.normal(0.0, 0.7) - 4.0 * s,
        creak_share=float(np.clip(voice.creak_share * _around(rng, 0.2) + 0.15 * s, 0.0, 0.6)),
        syllables_per_s=voice.syllables_per_s * _around(rng, 0.03) * (1 - 0.22 * s),
        pause_share=float(np.clip(voice.pause_share * _around(rng, 0.12) + 0.25 * s, 0.02, 0.6)),
        pauses_per_min=voice.pauses_per_min * _around(rng, 0.08) * (1 + 0.5 * s),
        level_db=voice.level_db + rng.normal(0.0, 1.0) - 4.0 * s,
        level_sd_db=voice.level_sd_db * _around(rng, 0.08) * (1 - 0.35 * s),
        snr_db=voice.snr_db + rng.normal(0.0, 2.0),
    )


def sound_of(user: ScriptedUser, memo: ScriptedMemo) -> tuple[FloatArray, Truth]:
    """Synthesise the memo, (samples,) float32 at 16 kHz, with its ground truth; deterministic."""
    rng = np.random.default_rng(memo.seed)
    return speak(voice_at(user.voice, memo.severity, rng), memo.seconds, rng)


def _user(
    user_id: str, course: Course, rng: np.random.Generator, days: int, start: datetime, memos_per_day: float
) -> ScriptedUser:
    voice = random_voice(rng)
    count = round(days * memos_per_day)
    memos = []
    for number in range(count):
        # One slot per memo, so no two coincide, in waking hours at one memo per day.
        moment = (number + rng.uniform(0.35, 0.9)) / memos_per_day
        severity = severity_at(course, moment / days) + rng.normal(0.0, 0.05)
        seconds = round(float(rng.uniform(*MEMO_S)), 1)
        seed = int(rng.integers(2**62))
        at = start + timedelta(seconds=round(moment * 86400))
        memos.append(ScriptedMemo(at, float(np.clip(severity, 0.0, 1.0)), seconds, seed))
    return ScriptedUser(user_id, voice, course, tuple(memos))


def _step(x: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(x, -50.0, 50.0))))


def _around(rng: np.random.Generator, sd: float) -> float:
    """A factor around 1, never below a quarter."""
    return max(1.0 + float(rng.normal(0.0, sd)), 0.25)

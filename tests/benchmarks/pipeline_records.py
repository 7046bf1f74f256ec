"""What the pipeline's benchmarks put on topics: features as the real stages give them, of many users."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TypeAlias

import numpy as np
import soundfile
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.events import (
    AuditEvent,
    Band,
    DeadLetter,
    Evidence,
    MemoFeatures,
    MemoUploaded,
    Modality,
    Record,
    RiskScored,
)
from schemas.ids import score_id
from schemas.pipeline import FEATURE_STAGES
from schemas.settings import Settings
from workers.audio.load import load_bytes
from workers.audio.memo import SAMPLING_RATE, Memo
from workers.privacy.clear_records import Written
from workers.simulation.cohort import random_voice
from workers.simulation.source_filter import speak
from workers.stages import make_stage

START = datetime(2026, 1, 1, 8, tzinfo=UTC)
CODEC = Codec()
BUNDLE = "prepared"


def wav(seed: int, seconds: float) -> bytes:
    """A memo of a simulated voice."""
    rng = np.random.default_rng(seed)
    out = BytesIO()
    soundfile.write(out, speak(random_voice(rng), seconds, rng)[0], SAMPLING_RATE, format="WAV")
    return out.getvalue()


Examples: TypeAlias = Sequence[Mapping[Modality, MemoFeatures]]
"""Features of a few memos, by modality."""


def examples(settings: Settings, memos: int) -> Examples:
    """What both real stages make of a few memos of 15 s."""
    loaded = []
    for seed in range(memos):
        event = MemoUploaded(f"memo-{seed}", "u", START, START, "memory://x")
        loaded.append(Memo(event, *load_bytes(wav(seed, 15.0), settings)))
    found: list[dict[Modality, MemoFeatures]] = [{} for _ in loaded]
    for row in FEATURE_STAGES:
        stage = make_stage(settings, row)
        for parts, outcome in zip(found, stage.process(loaded), strict=True):
            assert not isinstance(outcome, Exception)
            parts |= {features.modality: features for features in outcome}
        stage.close()
    return found


def prepared(given: Examples, users: int, days: int) -> Iterator[tuple[MemoFeatures, MemoFeatures]]:
    """Both parts of every memo, day by day; a user's features vary by 5 % about an example's."""
    rng = np.random.default_rng(3)
    for day in range(days):
        for user in range(users):
            at = START + timedelta(days=day, seconds=user)
            parts = given[user % len(given)]
            changed = [
                replace(
                    part,
                    memo_id=f"memo-{user}-{day}",
                    user_id=f"user-{user}",
                    recorded_at=at,
                    uploaded_at=at,
                    summary=(part.summary * rng.normal(1, 0.05, part.summary.shape)).astype(np.float32),
                )
                for part in parts.values()
            ]
            yield changed[0], changed[1]


def scores(users: int, days: int) -> Iterator[RiskScored]:
    """Scores of users who do not change, day by day."""
    rng = np.random.default_rng(5)
    for day in range(days):
        for user, logit in enumerate(rng.normal(-1, 0.8, users)):
            at, memo = START + timedelta(days=day, seconds=user), f"memo-{user}-{day}"
            evidence = tuple(Evidence(f"marker_{number}", 0.5, float(logit), False) for number in range(5))
            yield RiskScored(
                score_id(f"user-{user}", memo, BUNDLE), memo, f"user-{user}", at, at, at,
                float(1 / (1 + np.exp(-logit))), Band.LOW,
                (), evidence, (Modality.ACOUSTIC, Modality.EMBEDDING), BUNDLE,
            )  # fmt: skip


def fill(bootstrap: str, topic: str, records: Iterable[Record]) -> int:
    """Put records of users on a topic and wait until the broker has them; how many."""
    return put(bootstrap, topic, (Written(user_of(record), CODEC.encode(record), []) for record in records))


def put(bootstrap: str, topic: str, records: Iterable[Written]) -> int:
    """Put records on a topic as they are and wait until the broker has them; how many."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 50, "batch.num.messages": 1000}
        | {"queue.buffering.max.messages": 100_000, "log_level": 0}
    )
    count = 0
    for record in records:
        while True:
            try:
                producer.produce(topic, record.value, record.key, headers=record.headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        count += 1
    while producer.flush(5):
        time.sleep(0.01)
    return count


def user_of(record: Record) -> bytes:
    """The key of Kafka of a record of one person."""
    assert not isinstance(record, DeadLetter | AuditEvent), "of no one user"
    return record.user_id.encode()

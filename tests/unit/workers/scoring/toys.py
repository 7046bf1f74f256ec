"""A small bundle and memos to score with it."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from schemas.events import Extractor, FloatArray, MemoFeatures, Modality, Quality
from workers.scoring.bundle import Bundle
from workers.scoring.calibration import Bands, Calibration
from workers.scoring.feature_space import FeatureSpace
from workers.scoring.head import Head
from workers.scoring.heads import LogisticHead
from workers.scoring.personal_baseline import Population

ACOUSTIC = Extractor("toy-acoustic", "1", "a" * 64)
EMBEDDING = Extractor("toy-encoder", "1", "b" * 64)


def f32(values: object) -> FloatArray:
    """As an array of float32."""
    return np.asarray(values, np.float32)


NAMES = ("pitch_sd", "pause_share", "pause_rate", "mfcc1")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = Quality(speech_s=8.0, snr_db=30.0, clipped=0.0, bandwidth_hz=7000.0)


def bundle(head: Head | None = None, window: int = 0) -> Bundle:
    """Four acoustic features and two axes of a three-dimensional embedding; pauses raise the score, pitch lowers it."""
    axes = f32([[1, 0], [0, 1], [0, 0]])
    return Bundle(
        name="toy",
        space=FeatureSpace(
            {Modality.ACOUSTIC: ACOUSTIC, Modality.EMBEDDING: EMBEDDING}, NAMES, np.zeros(3, np.float32), axes
        ),
        markers=NAMES[:3],
        population=Population(f32([0] * 6), f32([1] * 6), f32([1] * 6), freedom=5.0),
        head=head or LogisticHead(f32([-0.5, 1.0, 0.2, 0.0, 0.3, 0.0]), 0.0),
        calibration=Calibration("temperature"),
        bands=Bands(0.4, 0.5, 0.6),
        window_mean=np.zeros(window, np.float32),
        window_sd=np.ones(window, np.float32),
        training={"data": "made up"},
    )


def part(
    modality: Modality,
    summary: Sequence[float],
    *,
    extractor: Extractor | None = None,
    quality: Quality = GOOD,
    windows: np.ndarray | None = None,
) -> MemoFeatures:
    """One modality of a memo."""
    acoustic = modality is Modality.ACOUSTIC
    return MemoFeatures(
        memo_id="m",
        user_id="u",
        recorded_at=NOON,
        uploaded_at=NOON,
        modality=modality,
        extractor=extractor or (ACOUSTIC if acoustic else EMBEDDING),
        duration_s=10.0,
        window_s=15.0,
        windows=np.zeros((1, 4 if acoustic else 3), np.float32) if windows is None else windows,
        summary=np.asarray(summary, np.float32),
        names=NAMES if acoustic else (),
        quality=quality,
    )


def memo(
    pitch_sd: float = 0, pause_share: float = 0, pause_rate: float = 0, mfcc1: float = 0, quality: Quality = GOOD
) -> dict[Modality, MemoFeatures]:
    """Both modalities of a memo, in population SDs."""
    return {
        Modality.ACOUSTIC: part(Modality.ACOUSTIC, [pitch_sd, pause_share, pause_rate, mfcc1], quality=quality),
        Modality.EMBEDDING: part(Modality.EMBEDDING, [0, 0, 0], quality=quality),
    }

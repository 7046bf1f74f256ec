"""A linear probe hears no speaker in training whom it is tested on."""

import numpy as np

from schemas.events import FloatArray
from workers.evaluation.linear_probe import speaker_disjoint_auc

SPEAKERS = [f"s{number // 8}" for number in range(48)]
POSITIVE = np.arange(48) % 2 == 0


def clips(*columns: np.ndarray, noise: float = 1.0) -> FloatArray:
    """Vectors with these columns and two of noise."""
    rng = np.random.default_rng(2)
    return np.column_stack([*columns, rng.normal(0, noise, (48, 2))]).astype(np.float32)


def test_a_class_that_shows_in_every_speaker_is_read() -> None:
    assert speaker_disjoint_auc(clips(POSITIVE * 4.0), POSITIVE, SPEAKERS) > 0.95


def test_noise_is_not_read() -> None:
    assert 0.3 < speaker_disjoint_auc(clips(), POSITIVE, SPEAKERS) < 0.7


def test_what_is_peculiar_to_each_speaker_does_not_help() -> None:
    """Each speaker shows the class on a coordinate of their own; a split that shared speakers would find it."""
    own = np.zeros((48, 6))
    own[np.arange(48), np.arange(48) // 8] = np.where(POSITIVE, 4.0, -4.0)
    assert speaker_disjoint_auc(clips(own), POSITIVE, SPEAKERS) < 0.7


def test_the_strongest_of_several_regularisations_is_given() -> None:
    """Among many noisy coordinates only strong regularisation finds the one that counts."""
    rng = np.random.default_rng(3)
    vectors = clips(POSITIVE * 1.5, rng.normal(0, 1, (48, 60)))
    assert speaker_disjoint_auc(vectors, POSITIVE, SPEAKERS) > 0.6

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from schemas.events import Extractor, Modality, Quality
from tests.unit.schemas.records import UPLOADED
from workers.audio.memo import SAMPLING_RATE, Memo

QUALITY = Quality(1.0, 30.0, 0.0, 8000.0)
EXTRACTOR = Extractor("toy", "1", "a" * 64)


@pytest.mark.parametrize(("samples", "seconds"), [(0, 0.0), (8000, 0.5), (SAMPLING_RATE * 90, 90.0)])
def test_a_memo_lasts_as_long_as_its_signal(samples: int, seconds: float) -> None:
    assert Memo(UPLOADED, np.zeros(samples, np.float32), QUALITY).duration_s == seconds


def test_a_memo_s_signal_cannot_be_exchanged() -> None:
    memo = Memo(UPLOADED, np.zeros(1, np.float32), QUALITY)
    with pytest.raises(FrozenInstanceError):
        memo.signal = np.ones(1, np.float32)  # type: ignore[misc]


def test_features_of_a_memo_carry_its_identity_times_and_quality() -> None:
    memo = Memo(UPLOADED, np.zeros(8000, np.float32), QUALITY)
    windows, summary = np.ones((2, 3), np.float32), np.array([1.0, np.nan], np.float32)
    record = memo.features(
        Modality.ACOUSTIC, EXTRACTOR, 15.0, windows, summary, names=("hnr", "jitter"), undefined=("jitter:no_voice",)
    )
    assert (record.memo_id, record.user_id) == (UPLOADED.memo_id, UPLOADED.user_id)
    assert (record.recorded_at, record.uploaded_at) == (UPLOADED.recorded_at, UPLOADED.uploaded_at)
    assert (record.modality, record.extractor, record.quality) == (Modality.ACOUSTIC, EXTRACTOR, QUALITY)
    assert (record.duration_s, record.window_s) == (0.5, 15.0)
    assert (record.names, record.undefined) == (("hnr", "jitter"), ("jitter:no_voice",))
    np.testing.assert_array_equal(record.windows, windows)
    np.testing.assert_array_equal(record.summary, summary)


def test_an_embedding_has_no_names_and_nothing_undefined() -> None:
    memo = Memo(UPLOADED, np.zeros(8000, np.float32), QUALITY)
    record = memo.features(Modality.EMBEDDING, EXTRACTOR, 15.0, np.ones((1, 2), np.float32), np.ones(2, np.float32))
    assert (record.names, record.undefined) == ((), ())

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from schemas.events import Quality
from tests.unit.schemas.records import UPLOADED
from workers.audio.memo import SAMPLING_RATE, Memo

QUALITY = Quality(1.0, 30.0, 0.0, 8000.0)


@pytest.mark.parametrize(("samples", "seconds"), [(0, 0.0), (8000, 0.5), (SAMPLING_RATE * 90, 90.0)])
def test_a_memo_lasts_as_long_as_its_signal(samples: int, seconds: float) -> None:
    assert Memo(UPLOADED, np.zeros(samples, np.float32), QUALITY).duration_s == seconds


def test_a_memo_s_signal_cannot_be_exchanged() -> None:
    memo = Memo(UPLOADED, np.zeros(1, np.float32), QUALITY)
    with pytest.raises(FrozenInstanceError):
        memo.signal = np.ones(1, np.float32)  # type: ignore[misc]

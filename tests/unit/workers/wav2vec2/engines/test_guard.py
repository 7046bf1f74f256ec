import numpy as np
import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from tests.unit.workers.wav2vec2.checkpoints import LAYER, tiny
from workers.wav2vec2.config import EncoderConfig
from workers.wav2vec2.engines import guard
from workers.wav2vec2.engines.choice import this_machine
from workers.wav2vec2.engines.guard import calibration_clip, check_precision, least_cosine
from workers.wav2vec2.stage import embedder_from

openvino = pytest.mark.skipif("openvino" not in this_machine().installed, reason="install the extra openvino")


def test_the_clip_is_the_same_at_every_start_and_normalised() -> None:
    clip = calibration_clip()
    np.testing.assert_array_equal(clip, calibration_clip())
    assert abs(float(clip.mean())) < 1e-5
    assert float(clip.std()) == pytest.approx(1, abs=1e-4)


def test_the_worst_frame_counts() -> None:
    one = np.array([[1, 0], [0, 2]], np.float32)
    assert least_cosine(one, one) == 1
    assert least_cosine(one, np.array([[1, 0], [2, 0]], np.float32)) == 0
    assert np.isnan(least_cosine(one, np.full((2, 2), np.nan, np.float32)))


@openvino
def test_a_precision_that_leaves_the_frames_is_admitted() -> None:
    check_precision(tiny(LAYER), "openvino", "float32", 1)


@openvino
def test_a_precision_that_changes_them_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(guard.LEAST_COSINE, "bfloat16", 1.1)
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_PRECISION=bfloat16.*at least 1\.1"):
        check_precision(tiny(LAYER), "openvino", "bfloat16", 1)


@openvino
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_the_shipped_encoder_starts_in_every_precision(precision: str) -> None:
    embedder = embedder_from(Settings.load(engine="openvino", precision=precision, intra_op_threads=1))
    assert embedder.engine.name == "openvino"


@openvino
def test_an_encoder_whose_frames_int8_changes_is_refused_in_it() -> None:
    # Random weights of seven convolutions and few layers: nothing evens the rounding out.
    changed = tiny(EncoderConfig(num_hidden_layers=2))
    check_precision(changed, "openvino", "bfloat16", 1)
    with pytest.raises(ConfigurationError, match=r"UNDERTONE_PRECISION=int8.*at least 0\.995"):
        check_precision(changed, "openvino", "int8", 1)

from dataclasses import asdict

import numpy as np

from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, tiny
from workers.wav2vec2.engines.graph_inputs import FirstNorm, graph_inputs, with_means


def test_valid_frames_are_those_of_each_length() -> None:
    rows = np.stack([noise(0.5), noise(0.5, 1)])
    inputs = graph_inputs(LAYER, None, rows, np.array([8000, 399], np.int32))
    assert inputs.keys() == {"signals", "valid"}
    assert inputs["valid"].sum(axis=1).tolist() == [LAYER.frames(8000), 0]


def test_the_first_norm_is_that_of_each_row_without_its_padding() -> None:
    first = FirstNorm.of(tiny(GROUP))
    assert first is not None
    rows = np.stack([noise(0.5), noise(0.5, 1)])
    rows[1, 4000:] = 7.0
    inputs = graph_inputs(GROUP, first, rows, np.array([8000, 4000], np.int32))
    alone = graph_inputs(GROUP, first, rows[1:, :4000], np.array([4000], np.int32))
    for name in ("scale", "shift"):
        assert inputs[name].shape == (2, GROUP.conv_dim[0])
        np.testing.assert_array_equal(inputs[name][1], alone[name][0])


def test_a_checkpoint_that_normalises_every_layer_has_no_first_norm() -> None:
    assert FirstNorm.of(tiny(LAYER)) is None
    assert asdict(LAYER)["feat_extract_norm"] == "layer"


def test_totals_become_means_over_valid_frames() -> None:
    valid = np.array([[1, 1, 0], [0, 0, 0]], np.float32)
    means, frames = with_means([np.array([[4.0], [0.0]], np.float32), np.zeros((2, 3, 1), np.float32)], valid)
    assert means.tolist() == [[2], [0]]
    assert frames.shape == (2, 3, 1)

"""Pieces of a signal give the frames of the whole; means are over valid frames."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, tiny
from workers.wav2vec2.engines.graph_program import PIECE, STEP, GraphParts, GraphProgram, pieces
from workers.wav2vec2.engines.moments import FirstNorm

Given = Mapping[str, NDArray[np.float32]]


class Parts:
    """Parts that note what they are given.

    Features of a frame are its first sample, its position the sum of the first features that it sees and the last.
    """

    def __init__(self, taps: int = LAYER.num_conv_pos_embeddings) -> None:
        self.seen: dict[str, list[Given]] = {"features": [], "positions": [], "attended": []}
        self._taps = taps

    def features(self, given: Given) -> list[NDArray[np.float32]]:
        self.seen["features"].append(given)
        samples = given["signals"].shape[1]
        firsts = given["signals"][:, : LAYER.frames(samples) * LAYER.hop : LAYER.hop]
        return [np.repeat(firsts[:, :, None], LAYER.hidden_size, axis=2)]

    def positions(self, given: Given) -> list[NDArray[np.float32]]:
        self.seen["positions"].append(given)
        features, frames = given["features"], given["features"].shape[1] - self._taps + 1
        return [features[:, :frames] + features[:, self._taps - 1 :]]

    def attended(self, given: Given) -> list[NDArray[np.float32]]:
        self.seen["attended"].append(given)
        return [(given["features"] * given["valid"][:, :, None]).sum(axis=1), given["features"], given["positions"]]

    @property
    def all(self) -> GraphParts:
        return GraphParts(self.features, self.positions, self.attended)


@given(st.integers(1, 2000), st.sampled_from([STEP, PIECE]))
def test_pieces_cover_every_frame_once_and_have_few_lengths(frames: int, step: int) -> None:
    found = list(pieces(frames, step))
    assert found[0][0] == 0
    assert found[-1][1] == frames
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert all(stop - start <= computed <= PIECE and computed % step == 0 for start, stop, computed in found)


@pytest.mark.parametrize("samples", [400, 8000, 16000 * 7 + 123])
@pytest.mark.parametrize("taps", [128, 31])
def test_frames_and_means_are_those_of_the_whole_signal(samples: int, taps: int) -> None:
    parts, config = Parts(taps), replace(LAYER, num_conv_pos_embeddings=taps)
    rows = np.stack([noise(samples / 16000), noise(samples / 16000, 1)])
    lengths = np.array([samples, 399], np.int32)
    means, features, positions = GraphProgram(config, None, parts.all)(rows, lengths)
    frames = config.frames(samples)
    expected = rows[0, : frames * config.hop : config.hop]
    np.testing.assert_array_equal(features[0, :, 0], expected)
    np.testing.assert_allclose(means[0, 0], expected.mean(), rtol=0, atol=1e-6)
    around = np.pad(expected, (taps // 2, taps - 1 - taps // 2))
    np.testing.assert_array_equal(positions[0, :, 0], around[:frames] + around[taps - 1 :])
    for without_a_frame in (means[1], features[1], positions[1]):
        assert not without_a_frame.any()
    (attended,) = parts.seen["attended"]
    assert attended["valid"].sum(axis=1).tolist() == [frames, 0]
    assert all(piece.keys() == {"signals"} for piece in parts.seen["features"])


def test_features_are_zero_where_padded() -> None:
    parts, rows = Parts(), np.full((1, 16000), 7.0, np.float32)
    GraphProgram(LAYER, None, parts.all)(rows, np.array([8000], np.int32))
    (attended,) = parts.seen["attended"]
    assert (attended["features"][0, :, 0] != 0).sum() == LAYER.frames(8000)


def test_the_first_norm_is_that_of_each_row_without_its_padding_in_every_piece() -> None:
    first, parts = FirstNorm.of(tiny(GROUP)), Parts()
    assert first is not None
    rows = np.stack([noise(5.0), noise(5.0, 1)])
    rows[1, 40_000:] = 7.0
    GraphProgram(GROUP, first, parts.all)(rows, np.array([80_000, 40_000], np.int32))
    alone = first.of_signals([rows[1, :40_000]])
    assert len(parts.seen["features"]) == 3
    for piece in parts.seen["features"]:
        for name, expected in zip(("scale", "shift"), alone, strict=True):
            assert piece[name].shape == (2, GROUP.conv_dim[0])
            np.testing.assert_array_equal(piece[name][1], expected[0])


def test_a_checkpoint_that_normalises_every_layer_has_no_first_norm() -> None:
    assert FirstNorm.of(tiny(LAYER)) is None
    assert LAYER.feat_extract_norm == "layer"

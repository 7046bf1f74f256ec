"""Convolutions in parts are the convolutions."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.unit.workers.wav2vec2.checkpoints import GROUP
from workers.wav2vec2.convolutions import FiveProducts
from workers.wav2vec2.layers import PositionalConvolution


@pytest.mark.parametrize("length", range(3, 12))
def test_five_products_are_the_convolution_at_any_length(length: int) -> None:
    rng = np.random.default_rng(length)
    x, kernel = rng.standard_normal((2, length, 8), np.float32), rng.standard_normal((3, 8, 5), np.float32)
    products = FiveProducts(8, 5, "float32")
    products.prepare(ops.convert_to_tensor(kernel))

    y = ops.convert_to_numpy(products(x))

    expected = np.stack(
        [np.einsum("ntc,tcw->nw", x[:, start : start + 3], kernel) for start in range(0, length - 2, 2)], axis=1
    )
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)


def test_a_fresh_positional_kernel_is_as_wide_as_that_of_one_grouped_convolution() -> None:
    keras.utils.set_random_seed(1)
    taps, width, groups = GROUP.num_conv_pos_embeddings, GROUP.hidden_size, GROUP.num_conv_pos_embedding_groups

    kernel = ops.convert_to_numpy(PositionalConvolution(GROUP, "float32").kernel.value + 0)

    whole = ops.convert_to_numpy(keras.initializers.GlorotUniform(1)((taps, width // groups, width)))
    assert kernel.std() == pytest.approx(whole.std(), rel=0.05)

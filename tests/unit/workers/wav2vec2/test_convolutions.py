"""Convolutions in parts are the convolutions."""

import numpy as np
import pytest
from keras import ops

from workers.wav2vec2.convolutions import FiveProducts


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

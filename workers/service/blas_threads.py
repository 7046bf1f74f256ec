"""One thread for NumPy's matrix products.

The other threads of OpenBLAS go on spinning for about a tenth of a second after each product of some size, on a core
that the encoder, another worker or another container needs. No product by NumPy here gains by threads; the encoder has
its own (UNDERTONE_INTRA_OP_THREADS).
"""

import os

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Read when NumPy is imported."""


def one_blas_thread() -> None:
    """Set it for this process and its children, unless the environment does. Before NumPy is imported."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)

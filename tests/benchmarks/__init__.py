"""Benchmarks: each a module that is run by hand, and writes a file of `results`.

NumPy has one thread in them, as in the processes of Undertone.
"""

from workers.service.blas_threads import one_blas_thread

one_blas_thread()

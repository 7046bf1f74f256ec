"""Weights in a file of this process alone, which is mapped into its memory.

OpenVINO copies the weights of products into layouts of its own, and holds on to those it was given. In a mapped file
those cost no memory for long: the system takes their pages away, and reads them again when they are needed. The file
has no name, so no process can change or cut it while it is mapped, as could happen to a checkpoint.
"""

import mmap
import tempfile
from collections.abc import Iterator, Mapping

import numpy as np

from schemas.events import FloatArray

LARGE_BYTES = 1 << 16
"""Smaller tensors stay in memory: biases and gains are read in every run."""


class MappedWeights(Mapping[str, FloatArray]):
    """The same weights; large ones from a mapped file, once they were asked for.

    Where no file can be written they stay in memory.
    """

    def __init__(self, weights: Mapping[str, FloatArray]) -> None:
        self._weights = weights
        self._maps: list[mmap.mmap] = []
        self._mapped: dict[str, FloatArray] = {}

    def __getitem__(self, name: str) -> FloatArray:
        """The tensor. Raises KeyError for an unknown name."""
        if name not in self._mapped:
            values = np.ascontiguousarray(self._weights[name], np.float32)
            if values.nbytes < LARGE_BYTES:
                return values
            self._mapped[name] = self._in_file(values)
        return self._mapped[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._weights)

    def __len__(self) -> int:
        """Number of tensors."""
        return len(self._weights)

    def release(self) -> None:
        """Take the mapped pages out of memory until they are read again."""
        for each in self._maps:
            each.madvise(mmap.MADV_DONTNEED)

    def _in_file(self, values: FloatArray) -> FloatArray:
        try:
            with tempfile.TemporaryFile() as file:
                file.write(values.data)
                file.flush()
                # Runtimes ask for memory that could be written; what is written there never reaches the file.
                mapped = mmap.mmap(file.fileno(), values.nbytes, access=mmap.ACCESS_COPY)
        except OSError:
            return values
        self._maps.append(mapped)
        return np.frombuffer(mapped, np.float32).reshape(values.shape)

"""The rows of a sink, collected by machine code: no Python runs per frame."""

import ctypes

import numpy as np
from numba import carray, cfunc, types

from schemas.events import FloatArray
from workers.acoustic.opensmile.library import ExternalSinkCallbackEx, OpenSMILE, smileapi

SINK = types.int32(types.CPointer(types.float32), types.int64, types.int64, types.voidptr, types.voidptr)
"""openSMILE's `ExternalSinkCallbackEx`: data, rows, values a row, times of the first row, our parameter."""

_HEAD = 4
"""Values before the rows of a buffer, as two 64-bit integers: how many values it holds, and how many fit."""


class Rows:
    """Buffer for the rows of one run."""

    def __init__(self, most: int, width: int) -> None:
        self._width = width
        self._buffer = np.zeros(_HEAD + most * width, np.float32)
        self._head = self._buffer[:_HEAD].view(np.int64)
        self._head[1] = most * width

    @property
    def table(self) -> FloatArray:
        """(rows, width) float32: what has arrived."""
        return self._buffer[_HEAD : _HEAD + int(self._head[0])].reshape(-1, self._width)

    def collect(self, smile: OpenSMILE, sink: str) -> None:
        """Collect what a sink hands over; this object must outlive the run."""
        attach(smile, sink, _append.address, self._buffer.ctypes.data)


def attach(smile: OpenSMILE, sink: str, callback: int, parameter: int | None = None) -> None:
    """Register a callback of type SINK with a sink, by their addresses."""
    function = ctypes.cast(callback, ExternalSinkCallbackEx)
    smile._check_smile_result(
        smileapi.smile_extsink_set_data_callback_ex(smile._smileobj, sink.encode(), function, parameter)
    )


@cfunc(SINK)
def _append(data, rows, width, _times, buffer):  # type: ignore[no-untyped-def]
    """Append rows to the buffer of a `Rows`; what no longer fits is left out."""
    count = rows * width
    head = carray(buffer, (2,), np.int64)
    if head[0] + count > head[1]:
        return 0
    source, target = carray(data, (count,)), carray(buffer, (_HEAD + head[1],), np.float32)
    for place in range(count):
        target[_HEAD + head[0] + place] = source[place]
    head[0] += count
    return 1

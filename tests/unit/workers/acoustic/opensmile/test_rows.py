"""Rows as openSMILE's callback hands them over, without openSMILE."""

import ctypes

import numpy as np

from workers.acoustic.opensmile.rows import Rows, _append


def hand_over(rows: Rows, data: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int:
    function = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
    )(_append.address)
    return int(function(data.ctypes.data, *data.shape, None, rows._buffer.ctypes.data))


def test_rows_are_collected_in_order() -> None:
    rows = Rows(5, 3)
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert rows.table.shape == (0, 3)
    assert [hand_over(rows, data[:1]), hand_over(rows, data[1:])] == [1, 1]
    assert np.array_equal(rows.table, data)


def test_what_does_not_fit_is_left_out() -> None:
    rows = Rows(2, 3)
    assert hand_over(rows, np.ones((3, 3), np.float32)) == 0
    assert hand_over(rows, np.ones((2, 3), np.float32)) == 1
    assert hand_over(rows, np.zeros((1, 3), np.float32)) == 0
    assert np.array_equal(rows.table, np.ones((2, 3)))

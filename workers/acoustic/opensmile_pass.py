"""Run openSMILE once over a memo: functionals, low-level descriptors and MFCCs.

openSMILE is not thread-safe: run this in one thread per process, and use more processes for more cores.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from opensmile.core.lib import SMILE_SUCCESS, ExternalSinkCallbackEx, OpenSMILE, c_char_p_arr, smileapi

from schemas.errors import ConfigurationError, Poison
from schemas.events import FloatArray
from workers.acoustic.feature_names import FUNCTIONAL_NAMES, LLD_NAMES, MFCC_NAMES
from workers.acoustic.opensmile_configuration import CONFIGURATION, HOP_S, packaged
from workers.audio.memo import SAMPLING_RATE

SHORTEST_S = 0.06
"""Seconds of audio needed for the first frame."""

_HOP = round(HOP_S * SAMPLING_RATE)
_AHEAD = 10 * SAMPLING_RATE
"""Samples written ahead of the frames: far more than openSMILE buffers before it emits a frame."""
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p
)
"""openSMILE's `ExternalSinkCallbackEx`, with pointers as plain addresses."""

_READY: list[OpenSMILE] = []
"""The previous memo's openSMILE, reset for reuse: creating a new one costs as much as 0.5 s of audio."""
_LONGEST_REUSED_S = 60
"""After a longer memo openSMILE is freed, to release its memory."""

_FRAMES_SINK, _FUNCTIONALS_SINK, _SOURCE = "framesSink", "functionalsSink", "extsource"


@dataclass(frozen=True, slots=True, eq=False)
class AcousticPass:
    """Result of one pass over a memo.

    functionals: (88,) in the order of FUNCTIONAL_NAMES, stock values, including the zeros that stock openSMILE gives
    without voiced frames; frames: (frames, 38), low-level descriptors then MFCCs. All float32 and finite.
    """

    functionals: FloatArray
    frames: FloatArray

    @property
    def lld(self) -> FloatArray:
        """(frames, 25) in the order of LLD_NAMES."""
        return self.frames[:, : len(LLD_NAMES)]

    @property
    def mfcc(self) -> FloatArray:
        """(frames, 13) in the order of MFCC_NAMES."""
        return self.frames[:, len(LLD_NAMES) :]


def acoustic_pass(signal: FloatArray) -> AcousticPass:
    """Run openSMILE once over a memo.

    signal: (samples,) float32, mono, at SAMPLING_RATE; clipped to [-1, 1], because openSMILE's 16-bit integers wrap.
    Raises Poison `acoustic:too_short` below SHORTEST_S, ConfigurationError when openSMILE rejects our configuration.
    """
    smile = _READY.pop() if _READY else _initialised()
    try:
        frames = _Rows(len(signal) // _HOP + 1, len(LLD_NAMES + MFCC_NAMES), _Source(smile, signal).write_ahead)
        functionals = _Rows(1, len(FUNCTIONAL_NAMES))
        keep = [_collect(smile, _FRAMES_SINK, frames), _collect(smile, _FUNCTIONALS_SINK, functionals)]
        smile.run()
        smile.reset()
        del keep
    except BaseException:
        smile.free()
        raise
    _reuse_or_free(smile, len(signal))
    if not functionals.filled or not frames.filled:
        raise Poison("acoustic:too_short", f"openSMILE needs at least {SHORTEST_S:g} s of audio; the memo has less")
    return AcousticPass(functionals.table[0], frames.table[: frames.filled])


class _Rows:
    """Buffer for the rows of a sink.

    on_filled: called with the number of rows, first with 0, then at each number it returned; returns the next one.
    """

    def __init__(self, most: int, width: int, on_filled: Callable[[int], int] = lambda filled: filled + 1) -> None:
        self.table = np.zeros((most, width), np.float32)
        self.filled = 0
        self._on_filled = on_filled
        self._next_call = on_filled(0)
        self._address, self._row_bytes = self.table.ctypes.data, width * self.table.itemsize

    def take(self, data: int, steps: int, _width: int, _meta: object, _param: object) -> int:
        """Copy rows on arrival; openSMILE calls it a hundred times per second of audio."""
        ctypes.memmove(self._address, data, steps * self._row_bytes)
        self._address += steps * self._row_bytes
        self.filled += steps
        if self.filled >= self._next_call:
            self._next_call = self._on_filled(self.filled)
        return 1


class _Source:
    """Writes the memo to openSMILE a little ahead of its frames, because openSMILE copies everything it receives."""

    def __init__(self, smile: OpenSMILE, signal: FloatArray) -> None:
        self._smile, self._signal, self._written, self._ended = smile, signal, 0, False

    def write_ahead(self, frames: int) -> int:
        """Write the samples needed after `frames` frames; returns the frame count of the next call."""
        while self._written < min(frames * _HOP + _AHEAD, len(self._signal)):
            chunk = self._signal[self._written : self._written + _AHEAD]
            self._smile.external_audio_source_write_data(_SOURCE, _as_int16(chunk))
            self._written += len(chunk)
        if self._written == len(self._signal) and not self._ended:
            self._ended = True
            self._smile.external_audio_source_set_eoi(_SOURCE)
        return frames + _AHEAD // _HOP // 10


def sink_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Column names of a frame and of the functionals as openSMILE gives them, for tests to compare with ours."""
    smile = _initialised()
    try:
        return _names(smile, _FRAMES_SINK), _names(smile, _FUNCTIONALS_SINK)
    finally:
        smile.free()


def _reuse_or_free(smile: OpenSMILE, samples: int) -> None:
    """Keep one instance for the next memo."""
    if _READY or samples > _LONGEST_REUSED_S * SAMPLING_RATE:
        smile.free()
    else:
        _READY.append(smile)


def _initialised() -> OpenSMILE:
    smile = OpenSMILE()
    smile._smileobj = smileapi.smile_new()
    options = {**packaged(), "sampleRate": SAMPLING_RATE, "nBits": 16}
    texts = [os.fsencode(str(part)) for option in options.items() for part in option]
    # The package's own `initialize` accepts ASCII paths only; installation paths may contain users' names.
    status = smileapi.smile_initialize(
        smile._smileobj, os.fsencode(CONFIGURATION), len(options), c_char_p_arr(texts), 0, 0, 0, None
    )
    if status != SMILE_SUCCESS:
        smile.free()
        raise ConfigurationError(f"openSMILE rejects the acoustic configuration (status {status}): reinstall opensmile")
    return smile


def _collect(smile: OpenSMILE, sink: str, rows: _Rows) -> object:
    """Register `rows` as the sink's callback; the returned object must outlive the run."""
    callback = _Callback(rows.take)
    # The package's own registration wraps each row in a NumPy array, and its callback type each pointer in an object.
    taken = ctypes.cast(callback, ExternalSinkCallbackEx)
    smile._check_smile_result(smileapi.smile_extsink_set_data_callback_ex(smile._smileobj, sink.encode(), taken, None))
    return callback


def _as_int16(signal: FloatArray) -> bytes:
    samples: NDArray[np.int16] = np.clip(signal * np.float32(32768), -32768, 32767).astype(np.int16)
    return samples.tobytes()


def _names(smile: OpenSMILE, sink: str) -> tuple[str, ...]:
    count = smile.external_sink_get_num_elements(sink)
    return tuple(smile.external_sink_get_element_name(sink, index) for index in range(count))

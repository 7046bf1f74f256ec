"""Run openSMILE once over a memo: functionals, low-level descriptors and MFCCs.

openSMILE is not thread-safe: run this in one thread per process, and use more processes for more cores.
"""

import ctypes
import os
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError, Poison
from schemas.events import FloatArray
from workers.acoustic.feature_names import FUNCTIONAL_NAMES, LLD_NAMES, MFCC_NAMES
from workers.acoustic.opensmile import resampling
from workers.acoustic.opensmile.graph import Component, changed, configuration, needed, parse, taken_out, unjoined
from workers.acoustic.opensmile.library import SMILE_SUCCESS, OpenSMILE, smileapi
from workers.acoustic.opensmile.resampling import Resampling
from workers.acoustic.opensmile.rows import Rows, attach
from workers.acoustic.opensmile_configuration import CONFIGURATION, HOP_S, packaged
from workers.audio.memo import SAMPLING_RATE

SHORTEST_S = 0.06
"""Seconds of audio needed for the first frame."""

_HOP = round(HOP_S * SAMPLING_RATE)
_AHEAD = 10 * SAMPLING_RATE
"""Samples written ahead of the frames: far more than openSMILE buffers before it emits a frame."""
_PACE = 500
"""Frames after which more samples are written."""

_READY: list[OpenSMILE] = []
"""The previous memo's openSMILE, reset for reuse: creating a new one costs as much as 0.5 s of audio."""
_LONGEST_REUSED_S = 60
"""After a longer memo openSMILE is freed, to release its memory."""

_FRAMES_SINK, _FUNCTIONALS_SINK, _SOURCE = "framesSink", "functionalsSink", "extsource"
_PACE_SINK, _PACE_LEVEL = "paceSink", "egemapsv02_energyRMS"
_RESAMPLING, _SPECTRA_SINK = "gemapsv01b_resampLpc", "spectraSink"

PACING = {_PACE_SINK: Component("cExternalSink", {"reader.dmLevel": _PACE_LEVEL, "blocksize": str(_PACE)})}
"""Says how far openSMILE is, whatever else runs."""

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p
)
"""openSMILE's `ExternalSinkCallbackEx`, with pointers as plain addresses."""


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
        frames, functionals = Rows(len(signal) // _HOP + 1, len(LLD_NAMES + MFCC_NAMES)), Rows(1, len(FUNCTIONAL_NAMES))
        frames.collect(smile, _FRAMES_SINK)
        functionals.collect(smile, _FUNCTIONALS_SINK)
        source = _Source(smile, signal)
        resampler = Resampling(smile, _SPECTRA_SINK, _RESAMPLING, len(signal)) if resampling.SAME_BITS else None
        smile.run()
        smile.reset()
        if resampler:
            resampler.check()
        del source
    except BaseException:
        smile.free()
        raise
    _reuse_or_free(smile, len(signal))
    if not len(functionals.table) or not len(frames.table):
        raise Poison("acoustic:too_short", f"openSMILE needs at least {SHORTEST_S:g} s of audio; the memo has less")
    return AcousticPass(functionals.table[0], frames.table)


class _Source:
    """Writes the memo to openSMILE a little ahead of its frames, because openSMILE copies everything it receives.

    It must outlive the run.
    """

    def __init__(self, smile: OpenSMILE, signal: FloatArray) -> None:
        self._smile, self._signal, self._written, self._frames = smile, signal, 0, 0
        self._write_ahead()
        # The package's own callback type wraps each pointer in an object.
        self._callback = _Callback(self._go_on)
        attach(smile, _PACE_SINK, ctypes.cast(self._callback, ctypes.c_void_p).value or 0)

    def _go_on(self, _data: int, frames: int, _width: int, _times: int, _parameter: int) -> int:
        """Write more; openSMILE calls it every _PACE frames."""
        self._frames += frames
        if self._written < len(self._signal):
            self._write_ahead()
        return 1

    def _write_ahead(self) -> None:
        """Write up to _AHEAD samples after the frames so far."""
        end = self._frames * _HOP + _AHEAD
        self._smile.external_audio_source_write_data(_SOURCE, _as_int16(self._signal[self._written : end]))
        self._written = min(end, len(self._signal))
        if self._written == len(self._signal):
            self._smile.external_audio_source_set_eoi(_SOURCE)


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
    # openSMILE reads it only once.
    with tempfile.NamedTemporaryFile(prefix="undertone-acoustics-", suffix=".conf", mode="w", encoding="utf-8") as file:
        file.write(_running())
        file.flush()
        # The package's own `initialize` accepts ASCII paths only; a temporary folder may contain users' names.
        status = smileapi.smile_initialize(smile._smileobj, os.fsencode(file.name), 0, None, 0, 0, 0, None)
    if status != SMILE_SUCCESS:
        smile.free()
        raise ConfigurationError(f"openSMILE rejects the acoustic configuration (status {status}): reinstall opensmile")
    return smile


def _running() -> str:
    """The configuration without what no sink reads."""
    try:
        files = {option: path.read_text("utf-8") for option, path in packaged().items()}
        graph = parse(CONFIGURATION.read_text("utf-8"), files, {"sampleRate": SAMPLING_RATE, "nBits": 16})
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"the configuration of openSMILE is damaged ({error!r}): reinstall opensmile"
        ) from error
    sinks = [_FRAMES_SINK, _FUNCTIONALS_SINK, _PACE_SINK]
    graph = changed(graph, _SOURCE, {"writer.levelconf.isRb": "1"})  # forgets the samples that everybody has read
    graph = unjoined(unjoined({**graph, **PACING}, _FRAMES_SINK), _FUNCTIONALS_SINK)
    if resampling.SAME_BITS:
        graph = taken_out(graph, _RESAMPLING, _SPECTRA_SINK, resampling.SOURCE)
        sinks.append(_SPECTRA_SINK)
    return configuration(needed(graph, *sinks))


def _as_int16(signal: FloatArray) -> bytes:
    samples: NDArray[np.int16] = np.clip(signal * np.float32(32768), -32768, 32767).astype(np.int16)
    return samples.tobytes()


def _names(smile: OpenSMILE, sink: str) -> tuple[str, ...]:
    count = smile.external_sink_get_num_elements(sink)
    return tuple(smile.external_sink_get_element_name(sink, index) for index in range(count))

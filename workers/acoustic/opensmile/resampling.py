"""openSMILE's resampling of a spectrum for its formants, in machine code: its own takes a sixth of a pass.

`cSpecResample` returns from the spectrum of a frame to the time domain at another rate, by a discrete Fourier
transform. It adds in single precision, one term after another, and so does this, for all samples at once: the sums
are the same bit by bit, and what follows them as well.
"""

import ctypes
import platform

import numpy as np
from numba import carray, cfunc, njit

from schemas.events import FloatArray
from workers.acoustic.opensmile.library import OpenSMILE, smileapi
from workers.acoustic.opensmile.rows import SINK, attach

POINTS = 512
"""Values of a spectrum: real and imaginary parts of a frame of 20 ms, padded from FRAME samples."""
FRAME, HOP = 320, 160
RATE = 11000
"""Hz after resampling."""
SAMPLES = 220
"""Samples of a frame at RATE."""
SAME_BITS = platform.machine() in ("x86_64", "AMD64")
"""Whether openSMILE rounds every product, as we do; on other processors its compiler may have fused them with sums."""
PERIOD = 352
"""Samples at RATE of the padded frame: the period of the transform."""

SOURCE = {
    "period": "0.01",
    "basePeriod": repr(1 / RATE),
    "writer.levelconf.frameSizeSec": "0.02",
    "writer.levelconf.isRb": "1",
    "writer.levelconf.growDyn": "1",
    "writer.levelconf.nT": "64",
    "fieldNames": "resampled",
    "fieldSizes": str(SAMPLES),
    "blocksize": "1",
}
"""Fields of the `cExternalSource` that takes the component's place."""

_HEAD = 8
"""Values before the samples of a buffer: openSMILE's address and the component's name, frames to come, unwritten."""

_write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(
    ("smile_extsource_write_data", smileapi)
)
_end = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(("smile_extsource_set_external_eoi", smileapi))


class Resampling:
    """Resamples the spectra of one run: reads them from a sink, and writes to a source."""

    def __init__(self, smile: OpenSMILE, sink: str, source: str, samples: int) -> None:
        """samples: of the signal. This object must outlive the run."""
        self._name = ctypes.create_string_buffer(source.encode())
        self._buffer = np.zeros(2 * _HEAD + SAMPLES, np.float32)
        self._head = self._buffer[: 2 * _HEAD].view(np.int64)
        to_come = (samples - FRAME) // HOP + 1 if samples >= FRAME else 0
        self._head[:4] = smile._smileobj, ctypes.addressof(self._name), to_come, 0
        self._head[4] = self._buffer.ctypes.data + 2 * _HEAD * self._buffer.itemsize
        attach(smile, sink, _resample.address, self._buffer.ctypes.data)
        if not to_come:
            smile.external_source_set_eoi(source)

    def check(self) -> None:
        """Raise RuntimeError unless every frame came, and openSMILE took what was made of it."""
        if self._head[2] or self._head[3]:
            raise RuntimeError(f"{self._head[2]} spectra have not come and {self._head[3]} were not taken by openSMILE")


def _waves() -> tuple[FloatArray, FloatArray]:
    """Cosines and sines: (frequencies, SAMPLES) float32 each, from the first frequency on."""
    angles = 2 * np.pi * np.outer(np.arange(1, SAMPLES // 2), np.arange(SAMPLES)).astype(np.float64) / PERIOD
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


_COSINES, _SINES = _waves()
_SCALE: np.float32 = np.float32(2 / POINTS)


@njit
def resampled(spectrum, samples):  # type: ignore[no-untyped-def]
    """Write the samples of a frame. spectrum: (POINTS,), real and imaginary parts by turns; samples: (SAMPLES,)."""
    for place in range(SAMPLES):
        samples[place] = spectrum[0]
    for frequency in range(SAMPLES // 2 - 1):
        real, imaginary = spectrum[2 * frequency + 2], spectrum[2 * frequency + 3]
        for place in range(SAMPLES):
            samples[place] = samples[place] + real * _COSINES[frequency, place]
            samples[place] = samples[place] + imaginary * _SINES[frequency, place]
    for place in range(SAMPLES):
        samples[place] = samples[place] * _SCALE


@cfunc(SINK)
def _resample(data, rows, _width, _times, buffer):  # type: ignore[no-untyped-def]
    """Resample spectra, write them to openSMILE, and end the source after the last."""
    head = carray(buffer, (_HEAD,), np.int64)
    samples = carray(buffer, (2 * _HEAD + SAMPLES,), np.float32)[2 * _HEAD :]
    spectra = carray(data, (rows, POINTS))
    for row in range(rows):
        resampled(spectra[row], samples)
        head[3] += _write(head[0], head[1], head[4], 1) != 0
        head[2] -= 1
    if head[2] == 0:
        _end(head[0], head[1])
    return 1

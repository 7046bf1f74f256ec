"""One openSMILE run over a memo gives everything: functionals, low-level descriptors and MFCCs.

openSMILE is not thread-safe: run this in one thread of a process, and use more processes for more cores.
"""

import ctypes
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from opensmile.core.lib import SMILE_SUCCESS, ExternalSinkCallbackEx, OpenSMILE, c_char_p_arr, smileapi

from schemas.errors import ConfigurationError, Poison
from schemas.events import FloatArray
from workers.acoustic.names import LLD_NAMES, MFCC_NAMES, PITCH_NAMES
from workers.memo import SAMPLING_RATE

HOP_S = 0.01
"""Seconds between frames. Frame i of every descriptor begins at i × HOP_S."""

SHORTEST_S = 0.06
"""Seconds of audio that make the first frame."""

CONFIGURATION = Path(__file__).with_name("onepass.conf")

_PACKAGED = {
    "source": "shared/standard_external_wave_input.conf.inc",
    "gemapsLld": "gemaps/v01b/GeMAPSv01b_core.lld.conf.inc",
    "egemapsLld": "egemaps/v02/eGeMAPSv02_core.lld.conf.inc",
    "gemapsFunc": "gemaps/v01b/GeMAPSv01b_core.func.conf.inc",
    "egemapsFunc": "egemaps/v02/eGeMAPSv02_core.func.conf.inc",
    "bufferModeConf": "shared/BufferMode.conf.inc",
    "bufferModeRbConf": "shared/BufferModeRb.conf.inc",
    "bufferModeRbLagConf": "shared/BufferModeRbLag.conf.inc",
    "frameModeFunctionalsConf": "shared/FrameModeFunctionals.conf.inc",
}
"""What our configuration includes, by the option that names it; below the package's own configuration folder."""

_CHUNK = 10 * SAMPLING_RATE
_FRAMES_SINK, _FUNCTIONALS_SINK, _SOURCE = "framesSink", "functionalsSink", "extsource"


@dataclass(frozen=True, slots=True, eq=False)
class AcousticPass:
    """What one pass over a memo yields.

    functionals: (88,) in the order of FUNCTIONAL_NAMES, stock values, also the zeros that stock openSMILE gives where
    there is no voiced frame; lld: (frames, 25) in the order of LLD_NAMES; mfcc: (frames, 13); pitch: (frames, 3) in the
    order of PITCH_NAMES, also where the descriptors' fixed gate on level has silenced it. All float32 and finite.
    """

    functionals: FloatArray
    lld: FloatArray
    mfcc: FloatArray
    pitch: FloatArray


def acoustic_pass(signal: FloatArray) -> AcousticPass:
    """Run openSMILE once over a memo.

    signal: (samples,) float32, mono, at SAMPLING_RATE; clipped to [-1, 1], because openSMILE's 16-bit integers wrap.
    Raises Poison `acoustic:too_short` below SHORTEST_S, ConfigurationError when openSMILE refuses our configuration.
    """
    frames: list[bytes] = []
    functionals: list[bytes] = []
    smile = _initialised()
    try:
        keep = [_collect(smile, _FRAMES_SINK, frames), _collect(smile, _FUNCTIONALS_SINK, functionals)]
        for start in range(0, len(signal), _CHUNK):
            smile.external_audio_source_write_data(_SOURCE, _as_int16(signal[start : start + _CHUNK]))
        smile.external_audio_source_set_eoi(_SOURCE)
        smile.run()
        del keep
    finally:
        smile.free()
    if not functionals or not frames:
        raise Poison("acoustic:too_short", f"openSMILE needs at least {SHORTEST_S:g} s of audio; the memo has less")
    rows = np.frombuffer(b"".join(frames), np.float32).reshape(-1, len(LLD_NAMES + MFCC_NAMES + PITCH_NAMES))
    lld, mfcc, pitch = np.split(rows, [len(LLD_NAMES), len(LLD_NAMES + MFCC_NAMES)], axis=1)
    return AcousticPass(np.frombuffer(functionals[0], np.float32), lld, mfcc, pitch)


def sink_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that openSMILE itself gives to the columns of a frame and of the functionals, for tests to hold ours."""
    smile = _initialised()
    try:
        return _names(smile, _FRAMES_SINK), _names(smile, _FUNCTIONALS_SINK)
    finally:
        smile.free()


@cache
def configuration_hash() -> str:
    """SHA-256 (hex) of all that determines the numbers of a pass: every included file and openSMILE's version."""
    digest = hashlib.sha256(metadata.version("opensmile").encode())
    for path in (CONFIGURATION, *_packaged().values()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _packaged() -> Mapping[str, Path]:
    spec = find_spec("opensmile")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ConfigurationError("the opensmile package is not installed: run make setup")
    paths = {option: Path(folders[0], "core", "config", *name.split("/")) for option, name in _PACKAGED.items()}
    missing = [_PACKAGED[option] for option, path in paths.items() if not path.is_file()]
    if missing:
        raise ConfigurationError(f"the installed opensmile package ships no {', '.join(missing)}")
    return paths


def _initialised() -> OpenSMILE:
    smile = OpenSMILE()
    smile._smileobj = smileapi.smile_new()
    options = {**_packaged(), "sampleRate": SAMPLING_RATE, "nBits": 16}
    texts = [os.fsencode(str(part)) for option in options.items() for part in option]
    # The package's own `initialize` takes ASCII paths only; people install below folders that bear their names.
    status = smileapi.smile_initialize(
        smile._smileobj, os.fsencode(CONFIGURATION), len(options), c_char_p_arr(texts), 0, 0, 0, None
    )
    if status != SMILE_SUCCESS:
        smile.free()
        raise ConfigurationError(f"openSMILE refuses the acoustic configuration (status {status}): reinstall opensmile")
    return smile


def _collect(smile: OpenSMILE, sink: str, rows: list[bytes]) -> object:
    """Append the sink's rows as they come; the returned callback must outlive the run."""
    item = ctypes.sizeof(ctypes.c_float)

    def take(data: object, steps: int, width: int, _meta: object, _param: object) -> int:
        rows.append(ctypes.string_at(data, steps * width * item))  # type: ignore[arg-type]
        return 1

    callback = ExternalSinkCallbackEx(take)
    # The package's own registration wraps every row in a NumPy array, a cost paid a hundred times a second of audio.
    smile._check_smile_result(
        smileapi.smile_extsink_set_data_callback_ex(smile._smileobj, sink.encode(), callback, None)
    )
    return callback


def _as_int16(signal: FloatArray) -> bytes:
    samples: NDArray[np.int16] = np.clip(signal * np.float32(32768), -32768, 32767).astype(np.int16)
    return samples.tobytes()


def _names(smile: OpenSMILE, sink: str) -> tuple[str, ...]:
    count = smile.external_sink_get_num_elements(sink)
    return tuple(smile.external_sink_get_element_name(sink, index) for index in range(count))

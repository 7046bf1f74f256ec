"""The kinds of recordings that Python code has at hand."""

import os
from collections.abc import Iterable
from numbers import Real
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = tuple[NDArray[Any], float]
"""Samples, (samples,) or (samples, channels), and their sampling rate in Hz."""
Recording: TypeAlias = str | os.PathLike[str] | bytes | Samples
"""A file's path, a file's content, or samples with their rate."""

WANTED = "a recording is a path, the bytes of a file, or (samples, sampling rate in Hz)"


def recordings_in(given: Recording | Iterable[Recording]) -> list[Recording]:
    """One recording, or several, as a list. Raises TypeError, before any work, for what is none."""
    several = [given] if _is_recording(given) else _listed(given)
    for at, each in enumerate(several):
        _check(at, each)
    return several


def _is_recording(given: object) -> TypeGuard[Recording]:
    return isinstance(given, str | bytes | os.PathLike) or _is_samples(given)


def _is_samples(given: object) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Real)


def _listed(given: object) -> list[Any]:
    if isinstance(given, np.ndarray):
        raise TypeError(f"samples come with their sampling rate, as (samples, 16000); {WANTED}")
    if not isinstance(given, Iterable):
        raise TypeError(f"{type(given).__name__} is no recording; {WANTED}")
    return list(given)


def _check(at: int, each: object) -> None:
    """Raises TypeError, which names the place in the list, for anything but a recording."""
    if not _is_recording(each):
        raise TypeError(f"recording {at} is of type {type(each).__name__}; {WANTED}")
    if isinstance(each, tuple):
        samples = np.asarray(each[0])
        # No recording fills 64 bits: scaled by them, samples of 16 in a list of Python's integers would be silence.
        known = samples.dtype.kind == "f" or (samples.dtype.kind in "iu" and samples.dtype.itemsize <= 4)
        if samples.ndim not in {1, 2} or not known:
            raise TypeError(
                f"recording {at} has samples of shape {samples.shape} and type {samples.dtype}; "
                "(samples,) or (samples, channels) of floats or of integers of 8 to 32 bits are wanted"
            )

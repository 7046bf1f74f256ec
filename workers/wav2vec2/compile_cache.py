"""Compiled programs kept on disk between starts, by the backend's own cache."""

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

import keras
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

from schemas.errors import ConfigurationError


def keep_in(cache: Path) -> None:
    """Let the backend find its compiled programs in `cache`, and add to them; PyTorch has none.

    To be called before the first compilation. ConfigurationError when the folder cannot be had.
    """
    backend = keras.backend.backend()
    # A program of another version, or for another processor, must not be found: it may not even run.
    folder = cache.absolute() / f"{backend}-{_version(backend)}-{_processor()}"
    if any(character.isspace() for character in str(folder)):
        raise ConfigurationError("UNDERTONE_PROGRAM_CACHE: TensorFlow takes no path with spaces; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"UNDERTONE_PROGRAM_CACHE: the folder cannot be made ({error.strerror}); choose another"
        ) from error
    if backend == "tensorflow":
        _drop_damaged(folder)
        # TensorFlow offers this by flag alone, and reads its flags when it compiles for the first time.
        flag = f"--tf_xla_persistent_cache_directory={folder}"
        given = os.environ.get("TF_XLA_FLAGS", "")
        if "--tf_xla_persistent_cache_directory" not in given:
            os.environ["TF_XLA_FLAGS"] = f"{given} {flag}".strip()
    elif backend == "jax":
        import jax

        jax.config.update("jax_compilation_cache_dir", str(folder))


def _drop_damaged(folder: Path) -> None:
    """Remove entries that a kill cut short while they were written: TensorFlow would stop at them at every start."""
    for entry in folder.glob("*.pb"):
        try:
            # Whatever a message's fields are, its lengths tell whether its bytes are all there.
            whole = Empty.FromString(entry.read_bytes()).ByteSize() > 0
        except DecodeError:
            whole = False
        if not whole:
            entry.unlink()


def _version(backend: str) -> str:
    return version({"tensorflow": "tensorflow", "jax": "jaxlib"}.get(backend, backend))


def _processor() -> str:
    """Eight hex digits that tell processors with other instructions apart, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor(), platform.machine()]
    telling = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))} or set(lines))
    return hashlib.sha256("\n".join(telling).encode()).hexdigest()[:8]

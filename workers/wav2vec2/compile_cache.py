"""Keep compiled programs on disk across restarts, in the backend's own cache."""

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
    """Use `cache` as the backend's cache of compiled programs; PyTorch has none.

    Call before the first compilation. Raises ConfigurationError when the folder cannot be created or has spaces.
    """
    backend = keras.backend.backend()
    # A program of another version, or for another processor, must not be loaded: it may not even run.
    folder = cache.absolute() / f"{backend}-{_version(backend)}-{_processor()}"
    if any(character.isspace() for character in str(folder)):
        raise ConfigurationError("UNDERTONE_PROGRAM_CACHE: TensorFlow accepts no path with spaces; choose another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"UNDERTONE_PROGRAM_CACHE: the folder cannot be created ({error.strerror}); choose another"
        ) from error
    if backend == "tensorflow":
        _drop_damaged(folder)
        # TensorFlow offers this by flag only, and reads its flags at the first compilation.
        flag = f"--tf_xla_persistent_cache_directory={folder}"
        given = os.environ.get("TF_XLA_FLAGS", "")
        if "--tf_xla_persistent_cache_directory" not in given:
            os.environ["TF_XLA_FLAGS"] = f"{given} {flag}".strip()
    elif backend == "jax":
        import jax

        jax.config.update("jax_compilation_cache_dir", str(folder))


def _drop_damaged(folder: Path) -> None:
    """Remove entries truncated by a kill during a write: TensorFlow would fail on them at every start."""
    for entry in folder.glob("*.pb"):
        try:
            # Whatever a message's fields are, its length prefixes reveal missing bytes.
            complete = Empty.FromString(entry.read_bytes()).ByteSize() > 0
        except DecodeError:
            complete = False
        if not complete:
            entry.unlink()


def _version(backend: str) -> str:
    return version({"tensorflow": "tensorflow", "jax": "jaxlib"}.get(backend, backend))


def _processor() -> str:
    """Eight hex digits that distinguish processors by instruction set, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor(), platform.machine()]
    distinct = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))} or set(lines))
    return hashlib.sha256("\n".join(distinct).encode()).hexdigest()[:8]

"""What openSMILE is configured with, without loading it: the files, and a hash of all that determines its values."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from schemas.errors import ConfigurationError

HOP_S = 0.01
"""Seconds between frames. Frame i of every descriptor begins at i × HOP_S."""

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
"""Files that our configuration includes, by option name; relative to the package's own configuration folder."""


@cache
def configuration_hash() -> str:
    """SHA-256 (hex) of everything that determines a pass's values: all included files and openSMILE's version.

    What runs is derived from the configuration without changing a value (`workers/acoustic/opensmile`).
    """
    digest = hashlib.sha256(metadata.version("opensmile").encode())
    for path in (CONFIGURATION, *packaged().values()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def packaged() -> Mapping[str, Path]:
    """The files of the opensmile package, by option name. Raises ConfigurationError when one is not installed."""
    spec = find_spec("opensmile")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ConfigurationError("the opensmile package is not installed: run make setup")
    paths = {option: Path(folders[0], "core", "config", *name.split("/")) for option, name in _PACKAGED.items()}
    missing = [_PACKAGED[option] for option, path in paths.items() if not path.is_file()]
    if missing:
        raise ConfigurationError(f"the installed opensmile package lacks {', '.join(missing)}: run make setup")
    return paths

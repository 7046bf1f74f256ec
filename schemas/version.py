"""The version of Undertone; `pyproject.toml` is where it is written."""

import tomllib
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "undertone-voice"
"""Name of the distribution. On the public index `undertone` is another product."""
_PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def version() -> str:
    """Version of the installed distribution, else of the checkout that this file is in.

    Raises importlib.metadata.PackageNotFoundError for a copy that is neither.
    """
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        if not _PROJECT.is_file():
            raise
        return str(tomllib.loads(_PROJECT.read_text())["project"]["version"])

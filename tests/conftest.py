"""What every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real speech and reference outputs, which lies beside the project or nowhere."""
    folder = Path(os.environ.get("UNDERTONE_SHARED", Path(__file__).parent.parent.parent / "shared"))
    if not (folder / "audio" / "manifest.csv").is_file():
        pytest.skip("no real speech here: put the shared folder beside the project or name it in UNDERTONE_SHARED")
    return folder

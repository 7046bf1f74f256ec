"""The hash of what determines openSMILE's values, which a process that does not run it needs as well."""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from workers.acoustic import opensmile_configuration
from workers.acoustic.opensmile_configuration import configuration_hash, packaged


def test_the_hash_changes_with_our_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = configuration_hash()
    other = tmp_path / "onepass.conf"
    other.write_text("; another")
    monkeypatch.setattr(opensmile_configuration, "CONFIGURATION", other)
    configuration_hash.cache_clear()
    try:
        assert configuration_hash() != before
    finally:
        configuration_hash.cache_clear()


def test_a_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opensmile_configuration, "find_spec", lambda _: None)
    packaged.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match="make setup"):
            packaged()
    finally:
        packaged.cache_clear()


def test_it_is_computed_without_openSMILE() -> None:  # noqa: N802  # its name
    program = "import sys; from workers.acoustic.stage import AcousticStage; print('opensmile' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

"""What the settings say of the trail."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from schemas.audit_keys import AuditKeys
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.audit.settings import KEY_FILE, keys_of


def test_the_key_of_the_trail_is_that_of_the_settings() -> None:
    assert keys_of(Settings(audit_key=SecretStr("k" * 32))) == AuditKeys.of(b"k" * 32)
    assert keys_of(Settings()) == AuditKeys(), "data in clear, and no key"


def test_where_data_is_sealed_a_machine_has_a_key_of_its_own(tmp_path: Path) -> None:
    settings = Settings(seal="on", home=tmp_path / "home")
    first = keys_of(settings)
    assert first == keys_of(settings) != keys_of(Settings(seal="on", home=tmp_path / "other"))
    assert first.events is not None
    path = settings.home / KEY_FILE
    assert (path.stat().st_mode & 0o777, len(path.read_bytes())) == (0o600, 64)
    assert [each.name for each in settings.home.iterdir()] == [KEY_FILE]


def test_processes_that_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    settings = Settings(seal="on", home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(lambda _: keys_of(settings), range(16))}) == 1


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="UNDERTONE_HOME"):
        keys_of(Settings(seal="on", home=tmp_path / "file"))


@pytest.mark.parametrize("key", [b"", b"k" * 31])
def test_a_key_that_was_cut_off_is_refused(key: bytes, tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(key)
    with pytest.raises(ConfigurationError, match="damaged"):
        keys_of(Settings(seal="on", home=tmp_path))

"""Keys of heads."""

import os
import subprocess
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from streams.audit.signing import Signer, Trusted
from tests.unit.streams.audit.trails import SIGNER, TRUSTED


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key as the settings' page says to make one."""
    path = tmp_path / "audit.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    path.chmod(0o600)
    return path


def test_what_a_key_of_openssl_signs_its_public_key_verifies(key: Path) -> None:
    public = key.with_suffix(".pub")
    pem = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True).stdout
    public.write_bytes(pem + pem)
    signer, trusted = Signer.load(key), Trusted.load(public)
    signature = signer.private.sign(b"head")
    assert trusted.signed(signer.key, b"head", signature)
    assert not trusted.signed(signer.key, b"another", signature)
    assert not trusted.signed(SIGNER.key, b"head", signature)
    assert not TRUSTED.signed(signer.key, b"head", signature)


def test_a_key_that_others_may_read_is_refused(key: Path) -> None:
    key.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Signer.load(key)


def test_a_secret_that_kubernetes_mounts_is_read(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is root's, with mode 0440 and the group of the pod, whose user is another."""
    monkeypatch.setattr("os.geteuid", lambda: 10001)
    status = os.stat_result((0o100440, 1, 1, 1, 0, 10001, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _: status)
    assert Signer.load(key).key
    for mode, owner in ((0o100444, 0), (0o100460, 0), (0o100440, 10001)):
        status = os.stat_result((mode, 1, 1, 1, owner, 10001, 0, 0, 0, 0))
        with pytest.raises(ConfigurationError, match="chmod 600"):
            Signer.load(key)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.touch(0o600)
    for content in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="genpkey"):
            Signer.load(path)
        with pytest.raises(ConfigurationError, match="pubout"):
            Trusted.load(path)
    subprocess.run(["openssl", "genpkey", "-algorithm", "x25519", "-out", path], check=True)
    with pytest.raises(ConfigurationError, match="genpkey"):
        Signer.load(path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_AUDIT_SIGNING_KEY"):
        Signer.load(tmp_path / "none.pem")
    with pytest.raises(ConfigurationError, match="UNDERTONE_AUDIT_PUBLIC_KEY"):
        Trusted.load(tmp_path / "none.pem")

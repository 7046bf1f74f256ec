"""Keys for tests: a key directory with its keyring in a folder of the test, and key services that run here."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from schemas.settings import Settings
from streams.privacy.directory_keys import DirectoryKeys
from streams.privacy.journal import ErasureJournal, Request
from streams.privacy.places import Person
from tests.servers import required
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.keyring import Keyring

SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")

TOKENS = ("undertone-test", "undertone-locked")
"""Two, because a process logs in to a token once."""


def sealing(home: Path, **given: object) -> Settings:
    """Settings that seal, with keys in `home`."""
    return Settings.load(**{"seal": "on", "home": home, **given})


def erase(keyring: Keyring, user: str) -> bytes:
    """Destroy a person's keys, as an erasure does, up to the processes that hold them; the subject."""
    subject = keyring.subject(user)
    note_erasure(keyring.directory, user, subject)
    keyring.directory.mark_erasing(user)
    keyring.directory.destroy_keys(subject)
    keyring.forget(subject)
    return subject


def note_erasure(directory: KeyDirectory, user: str, subject: bytes) -> None:
    """The row of an erasure, which is written before its first step."""
    hashed = DirectoryKeys(directory, 0.0).person_hash(user)
    ErasureJournal(directory.database).begin(Person(user, subject), hashed, Request("asked in writing"))


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    """A keyring with an empty directory of its own."""
    opened = Keyring.open(sealing(tmp_path / "keys"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SoftHSM's library, with its tokens in a folder of this run. A process loads it once, so it is for all tests."""
    library = next((path for path in SOFTHSM if Path(path).exists()), None)
    if library is None or shutil.which("softhsm2-util") is None:
        if required("softhsm"):
            pytest.fail("UNDERTONE_REQUIRE names softhsm: it is not installed; `make servers` installs it")
        pytest.skip("no SoftHSM: `make servers` installs it")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        for label in TOKENS:
            token = ["--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678"]
            subprocess.run(["softhsm2-util", *token], check=True, capture_output=True)
        yield library


@pytest.fixture
def hsm(softhsm: str) -> str:
    """UNDERTONE_KMS of a token, with a label that has no key yet."""
    return f"pkcs11:{softhsm}?token={TOKENS[0]}&key=k{Random().getrandbits(64):x}&pin=1234"


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Address of a server with the API of AWS, moto's."""
    from moto.server import ThreadedMotoServer  # takes seconds, and few tests need it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto: str) -> str:
    """UNDERTONE_KMS of AWS KMS, with an alias that does not exist yet."""
    return f"aws-kms:k{Random().getrandbits(64):x}?region=eu-central-1&endpoint={moto}"

"""Which roles a laptop's system consists of; `tests/integration/test_up.py` starts them all."""

import json
from pathlib import Path

import pytest

from schemas.bundle_manifest import MANIFEST
from schemas.settings import SHIPPED_BUNDLE, Settings
from streams.local.system import System


@pytest.fixture
def acoustic_bundle(tmp_path: Path) -> Path:
    manifest = json.loads((SHIPPED_BUNDLE / MANIFEST).read_text())
    del manifest["extractors"]["embedding"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | {"encoder": None}))
    return tmp_path


def roles(home: Path, **changes: object) -> set[str]:
    system = System(Settings.load(home=home, **changes))
    assert system.dashboard is not None
    system.dashboard.close()
    return {*system._roles()}


ALWAYS = ("agents", "history", "dashboard")


def test_only_the_workers_that_the_bundle_needs_are_started(acoustic_bundle: Path, tmp_path: Path) -> None:
    assert roles(tmp_path) == {"worker acoustic", "worker embedding", *ALWAYS}
    assert roles(tmp_path, bundle=acoustic_bundle) == {"worker acoustic", *ALWAYS}
    both = roles(tmp_path, bundle=acoustic_bundle, modalities="acoustic,embedding")
    assert both == {"worker acoustic", "worker embedding", *ALWAYS}


def test_a_receiver_that_is_addressed_has_its_bridge(tmp_path: Path) -> None:
    assert "bridge webhook" in roles(tmp_path, webhook_url="http://127.0.0.1:9/")

import os

import pytest

from schemas.events import Modality
from schemas.settings import Settings


def test_a_child_loads_the_very_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = Settings.load(
        kafka_bootstrap="localhost:1", audio_prefixes=("file:///a", "s3://b"), alerts_per_user_year=0.2,
        modalities=(Modality.ACOUSTIC,), supervised=True, log_level="ERROR",
    ).model_copy(update={"redis_url": "redis://localhost:2/0"})  # fmt: skip
    for name, value in parent.child_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings.load() == parent


def test_the_rest_of_the_environment_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    assert Settings.load().child_environment() == {**os.environ}

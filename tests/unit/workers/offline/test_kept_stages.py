"""A stage is kept while its settings stay, and closed when it is replaced."""

from collections.abc import Iterator

import pytest

from schemas.events import Modality
from schemas.pipeline import feature_stages
from schemas.settings import Settings
from workers.acoustic.stage import AcousticStage
from workers.offline.kept_stages import KeptStages

(ROW,) = feature_stages((Modality.ACOUSTIC,))


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The stages closed so far."""
    stages: list[object] = []
    monkeypatch.setattr(AcousticStage, "close", lambda stage: stages.append(stage))
    return stages


@pytest.fixture
def kept() -> Iterator[KeptStages]:
    kept = KeptStages()
    yield kept
    kept.close()


def test_a_stage_is_made_once(kept: KeptStages, closed: list[object]) -> None:
    first = kept.stage(Settings(), ROW)
    assert kept.stage(Settings(audio_max_s=7.0), ROW) is first, "a setting that the stage does not read"
    assert closed == []


def test_other_settings_replace_it(kept: KeptStages, closed: list[object]) -> None:
    first = kept.stage(Settings(), ROW)
    second = kept.stage(Settings(window_s=5.0), ROW)
    assert second is not first
    assert closed == [first]


def test_after_closing_a_stage_is_made_again(kept: KeptStages, closed: list[object]) -> None:
    first = kept.stage(Settings(), ROW)
    kept.close()
    kept.close()
    assert closed == [first]
    assert kept.stage(Settings(), ROW) is not first

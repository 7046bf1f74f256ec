from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from schemas.events import FloatArray
from schemas.markers import MARKER_NAMES
from tests.unit.workers.acoustic.voices import noise, silence
from workers.acoustic.plot import GROUPS, LABELS, plot_features
from workers.simulation.source_filter import Voice, speak


def test_every_marker_has_its_place() -> None:
    assert tuple(name for _, names in GROUPS for name in names) == MARKER_NAMES
    assert set(LABELS) == set(MARKER_NAMES)


@pytest.mark.parametrize(
    "signal",
    [speak(Voice(creak_share=0.2), 4.0, np.random.default_rng(1))[0], silence(0.5), noise(0.06)],
    ids=["voice", "silence", "one frame"],
)
def test_a_page_is_drawn_and_nothing_else_changes(tmp_path: Path, signal: FloatArray) -> None:
    before = dict(mpl.rcParams)
    plot_features(tmp_path / "page.png", signal, title="A memo")
    assert dict(mpl.rcParams) == before
    with Image.open(tmp_path / "page.png") as page:
        pixels = np.asarray(page.convert("L"))
    assert pixels.shape[1] > 1200
    assert 0.01 < float((pixels < 200).mean()) < 0.6

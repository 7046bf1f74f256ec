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
    ranges = dict.fromkeys(MARKER_NAMES, (0.1, 0.2))
    plot_features(tmp_path / "page.png", signal, title="A memo", usual=ranges)
    assert dict(mpl.rcParams) == before
    with Image.open(tmp_path / "page.png") as page:
        pixels = np.asarray(page.convert("L"))
    assert pixels.shape[1] > 1200
    assert 0.01 < float((pixels < 200).mean()) < 0.6


def test_usual_ranges_are_drawn_where_they_are_known(tmp_path: Path) -> None:
    signal = speak(Voice(), 2.0, np.random.default_rng(1))[0]
    drawn = []
    for name, ranges in (("without", {}), ("with", {"pause_share": (0.1, 0.3), "hnr": (-1.0, 9.0)})):
        plot_features(tmp_path / f"{name}.svg", signal, usual=ranges)
        drawn.append((tmp_path / f"{name}.svg").read_text())
    assert "usual" not in drawn[0]
    assert "usual 10 to 30 %" in drawn[1]
    assert "usual -1.0 to 9.0 dB" in drawn[1]

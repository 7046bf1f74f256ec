import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.bundle_manifest import MANIFEST, WINDOW_S, window_s_of
from schemas.errors import ConfigurationError
from tests.unit.workers.scoring.toys import bundle, f32, memo
from workers.scoring.bundle import CARD, FIRST, HEAD, POPULATION, Bundle, First, save
from workers.scoring.calibration import Calibration
from workers.scoring.heads import LogisticHead
from workers.scoring.personal_baseline import PersonalNormal
from workers.scoring.scorer import Scored, Scorer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(bundle(), tmp_path / "b", "# {id}\n")
    return tmp_path / "b"


def test_a_loaded_bundle_scores_as_the_saved_one(saved: Path) -> None:
    parts = memo(pitch_sd=-1, pause_share=2)
    probabilities = [
        s.probability
        for b in (bundle(), Bundle.load(saved))
        for s in Scorer(b).score([(parts, PersonalNormal.empty(6))])
        if isinstance(s, Scored)
    ]
    assert len(probabilities) == 2
    assert probabilities[0] == probabilities[1]


def test_the_same_bundle_gives_the_same_bytes_and_another_another_id(saved: Path, tmp_path: Path) -> None:
    again = save(bundle(), tmp_path / "again", "# {id}\n")
    assert again.id == Bundle.load(saved).id
    assert again.id.startswith("toy-")
    assert again.id in (tmp_path / "again" / CARD).read_text()
    for name in (MANIFEST, HEAD, POPULATION):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    other = bundle()
    other.head.weights()["coefficients"][0] += 1
    assert save(other, tmp_path / "other", "").id != again.id


def test_the_head_of_people_without_a_baseline_comes_back_or_the_bundle_does_not(tmp_path: Path) -> None:
    first = First(LogisticHead(f32([0, 2, 0, 0, 0, 0]), -1.0), Calibration("temperature", 0.5, 0.25))
    kept = save(replace(bundle(), first=first), tmp_path, "").first
    assert kept is not None
    np.testing.assert_array_equal(kept.head.weights()["coefficients"], [0, 2, 0, 0, 0, 0])
    assert kept.calibration == first.calibration
    cut(FIRST)(tmp_path)
    with pytest.raises(ConfigurationError, match=FIRST):
        Bundle.load(tmp_path)
    assert save(bundle(), tmp_path, "").first is None
    assert not (tmp_path / FIRST).exists()


def without(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        (path / name).write_bytes((path / name).read_bytes()[:-1])

    return damage


def edited(path: Path) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["bands"]["low"] = 0.1
    (path / MANIFEST).write_text(json.dumps(manifest))


def truncated(path: Path) -> None:
    (path / MANIFEST).write_text((path / MANIFEST).read_text()[:-3])


@pytest.mark.parametrize("name", [MANIFEST, HEAD, POPULATION, CARD])
def test_a_bundle_that_lacks_a_file_is_refused_by_name(saved: Path, name: str) -> None:
    without(name)(saved)
    with pytest.raises(ConfigurationError, match=name):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("damage", "named"),
    [(cut(HEAD), HEAD), (cut(POPULATION), POPULATION), (edited, "altered"), (truncated, "not JSON")],
)
def test_a_bundle_that_was_altered_is_refused(saved: Path, damage: Callable[[Path], None], named: str) -> None:
    damage(saved)
    with pytest.raises(ConfigurationError, match=named):
        Bundle.load(saved)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=MANIFEST):
        Bundle.load(tmp_path)


def test_weights_that_do_not_fit_the_features_are_refused(tmp_path: Path) -> None:
    wrong = bundle()
    object.__setattr__(wrong.head, "coefficients", np.zeros(5, np.float32))
    with pytest.raises(ConfigurationError, match="fit together"):
        save(wrong, tmp_path, "")


def test_windows_of_another_length_than_usual_come_back(tmp_path: Path) -> None:
    other = save(replace(bundle(), window_s=10.0), tmp_path / "other", "")
    assert (other.window_s, window_s_of(tmp_path / "other")) == (10.0, 10.0)
    usual = save(bundle(), tmp_path / "usual", "")
    assert usual.window_s == window_s_of(tmp_path / "usual") == WINDOW_S
    assert "window_s" not in json.loads((tmp_path / "usual" / MANIFEST).read_text()), "bundles keep their ids"

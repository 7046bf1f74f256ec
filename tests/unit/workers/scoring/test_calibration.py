"""From logits to probabilities and bands: rising, bounded, and the same after a round trip."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.events import Band, FloatArray
from tests.unit.workers.scoring.toys import f32
from workers.scoring.calibration import LOGIT_BOUND, Bands, Calibration

STRAIGHT = Calibration("temperature", slope=0.5, offset=1.0)
KNOTTED = Calibration("isotonic", slope=0.25, logits=(-2.0, 0.0, 1.0), calibrated=(-1.0, 0.5, 0.5))
raw_logits = hnp.arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e4, 1e4, width=32))


@pytest.mark.parametrize("calibration", [STRAIGHT, KNOTTED])
@given(raw=raw_logits)
def test_a_higher_logit_never_gets_a_lower_probability(calibration: Calibration, raw: FloatArray) -> None:
    rising = np.sort(raw)
    logit, probability = calibration.logit(rising), calibration.probability(rising)
    assert (np.diff(logit) >= 0).all()
    assert (np.diff(probability) >= 0).all()
    assert np.abs(logit).max() <= LOGIT_BOUND
    assert probability.min() >= 0.0179
    assert probability.max() <= 0.9821
    assert logit.dtype == probability.dtype == np.float32


def test_near_zero_the_bound_does_not_bend_the_line() -> None:
    raw = f32([-2.2, -2.0, -1.8])
    np.testing.assert_allclose(STRAIGHT.logit(raw), [-0.1, 0.0, 0.1], atol=1e-3)
    assert STRAIGHT.probability(f32([-2.0]))[0] == pytest.approx(0.5)


def bounded(line: float) -> float:
    return LOGIT_BOUND * float(np.tanh(line / LOGIT_BOUND))


@pytest.mark.parametrize(
    ("raw", "line"), [(-2.0, -1.0), (-1.0, -0.25), (0.0, 0.5), (0.7, 0.5), (1.0, 0.5), (3.0, 1.0), (-6.0, -2.0)]
)
def test_between_knots_the_map_is_straight_and_outside_it_keeps_its_slope(raw: float, line: float) -> None:
    assert KNOTTED.logit(f32([raw]))[0] == pytest.approx(bounded(line), abs=1e-6)


def test_the_shape_of_the_logits_is_kept() -> None:
    table = np.zeros((3, 2), np.float32)
    assert STRAIGHT.logit(table).shape == KNOTTED.probability(table).shape == (3, 2)


@pytest.mark.parametrize("calibration", [STRAIGHT, KNOTTED])
def test_what_a_manifest_keeps_gives_the_same_map(calibration: Calibration) -> None:
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


def test_a_straight_map_keeps_no_knots() -> None:
    assert STRAIGHT.to_json() == {"kind": "temperature", "slope": 0.5, "offset": 1.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"slope": 0.0},
        {"slope": -0.5},
        {"slope": float("nan")},
        {"offset": float("inf")},
        {"logits": [0.0, -1.0, 1.0]},
        {"calibrated": [0.0, 1.0, 0.5]},
        {"calibrated": [0.0, 1.0]},
        {"logits": [0.0, 1.0, float("nan")]},
    ],
)
def test_a_map_that_does_not_rise_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Calibration.from_json(KNOTTED.to_json() | changes)


@pytest.mark.parametrize(
    ("probability", "band"),
    [
        (0.0, Band.LOW),
        (0.399, Band.LOW),
        (0.4, Band.INDETERMINATE),
        (0.5, Band.INDETERMINATE),
        (0.599, Band.INDETERMINATE),
        (0.6, Band.HIGH),
        (1.0, Band.HIGH),
    ],
)
def test_the_system_abstains_from_low_up_to_high(probability: float, band: Band) -> None:
    assert Bands(0.4, 0.5, 0.6).of(probability) is band


def test_a_band_of_no_width_abstains_from_nothing() -> None:
    bands = Bands(0.5, 0.5, 0.5)
    assert {bands.of(probability) for probability in np.linspace(0, 1, 101)} == {Band.LOW, Band.HIGH}

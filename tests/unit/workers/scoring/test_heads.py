"""Heads by kind: what is kept of one makes the same head again, or is refused."""

import subprocess
import sys

import numpy as np
import pytest

from tests.unit.workers.scoring.toys import f32
from workers.scoring.head import HeadInput
from workers.scoring.heads import KINDS, NEURAL, SEQUENTIAL, LogisticHead, restore

HEAD = LogisticHead(f32([1.0, -2.0, 0.5]), 0.25)


def given(*rows: list[float]) -> HeadInput:
    return HeadInput(f32(rows), np.zeros((len(rows), 0, 0), np.float32), np.zeros((len(rows), 0), bool))


def test_a_logistic_head_adds_up_what_each_deviation_weighs() -> None:
    logits = HEAD.logits(given([0, 0, 0], [1, 1, 2], [-1, 0, 0]))
    np.testing.assert_allclose(logits, [0.25, 0.25, -0.75])
    assert logits.dtype == np.float32


def test_a_memo_s_logit_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    head, rows = LogisticHead(f32(rng.normal(size=88)), 0.25), rng.normal(size=(64, 88)).tolist()
    together = head.logits(given(*rows))
    assert together.tolist() == [float(head.logits(given(row))[0]) for row in rows]


def test_a_logistic_head_says_what_each_deviation_adds_and_nothing_is_left_over() -> None:
    rng = np.random.default_rng(1)
    head, inputs = LogisticHead(f32(rng.normal(size=88)), 0.25), given(*rng.normal(size=(16, 88)).tolist(), [0.0] * 88)
    parts = head.contributions(inputs)
    np.testing.assert_array_equal(parts.total.astype(np.float32), head.logits(inputs))
    np.testing.assert_array_equal(parts.deviations[-1], np.zeros(88))
    assert parts.deviations[0, 3] == float(inputs.deviations[0, 3]) * float(head.coefficients[3])
    assert parts.reference.tolist() == [0.25] * 17


def test_a_logistic_head_comes_back_as_it_was() -> None:
    again = restore("logistic", HEAD.config(), HEAD.weights())
    assert again.kind == "logistic"
    assert again.logits(given([1, 2, 3])).tolist() == HEAD.logits(given([1, 2, 3])).tolist()


@pytest.mark.parametrize(
    "weights",
    [
        {"coefficients": f32([1, 2, 3])},
        {"coefficients": f32([1, 2]), "intercept": f32([0])},
        {"coefficients": f32([[1, 2, 3]]), "intercept": f32([0])},
        {"coefficients": f32([1, 2, 3]), "intercept": f32([0]), "more": f32([0])},
    ],
)
def test_weights_of_another_head_are_refused(weights: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="weights"):
        restore("logistic", {"features": 3}, weights)


def test_a_head_that_nobody_knows_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=f"'forest'.*{', '.join(KINDS)}"):
        restore("forest", {}, {})


def test_what_reads_windows_is_a_network_and_every_network_is_a_kind() -> None:
    assert {*SEQUENTIAL} < {*NEURAL} < {*KINDS}


def test_a_logistic_head_loads_no_tensorflow() -> None:
    code = (
        "import sys, numpy as np; from workers.scoring.heads import restore; "
        "restore('logistic', {'features': 1}, {'coefficients': np.ones(1), 'intercept': np.ones(1)}); "
        "sys.exit(bool({'tensorflow', 'keras'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

import numpy as np
import pytest

from tests.unit.workers.scoring.toys import f32
from workers.scoring.head import CLIP_SD, Contributions, clipped


@pytest.mark.parametrize(
    ("deviation", "read"),
    [
        (0.5, 0.5),
        (CLIP_SD + 1, CLIP_SD),
        (-CLIP_SD - 1, -CLIP_SD),
        (np.inf, CLIP_SD),
        (-np.inf, -CLIP_SD),
        (np.nan, 0.0),
    ],
)
def test_heads_read_deviations_within_bounds_and_nothing_undefined(deviation: float, read: float) -> None:
    table = f32([[deviation, 1.0]])
    assert clipped(table).tolist() == [[read, 1.0]]
    assert clipped(table).dtype == np.float32
    np.testing.assert_array_equal(table, f32([[deviation, 1.0]]), "what was given is not changed")


def test_contributions_add_up_memo_by_memo() -> None:
    parts = Contributions(f32([[1, 2], [0, -3]]), f32([0.5, 0]), f32([10, 20]))
    assert parts.total.tolist() == [13.5, 17.0]

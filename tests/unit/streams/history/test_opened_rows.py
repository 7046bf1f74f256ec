from collections.abc import Callable, Collection
from typing import Any

import pytest

from streams.history.opened_rows import Opened, filled


def reader(left_out: Collection[int], asked: list[int]) -> Callable[[int], Opened]:
    """A reader of the first of twenty rows, some of which it leaves out. asked: how many each time."""

    def read(limit: int) -> Opened:
        asked.append(limit)
        rows: list[Any] = [row for row in range(min(limit, 20)) if row not in left_out]
        found = Opened(rows)
        found.left_out = min(limit, 20) - len(found)
        return found

    return read


@pytest.mark.parametrize("left_out", [(), {0}, {0, 1, 2}, {3, 4, 5, 6}, set(range(9)), {19}, set(range(20))])
def test_a_page_is_full_however_many_rows_are_left_out(left_out: Collection[int]) -> None:
    assert list(filled(5, reader(left_out, []))) == [row for row in range(20) if row not in left_out][:5]


def test_a_page_without_such_rows_is_read_once() -> None:
    asked: list[int] = []
    assert list(filled(5, reader((), asked))) == [0, 1, 2, 3, 4]
    assert asked == [5]

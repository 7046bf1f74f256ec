import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.audio.memo import SAMPLING_RATE
from workers.audio.windows import window_bounds
from workers.wav2vec2 import batching

LONGEST = round(15.4 * SAMPLING_RATE)
SHORTEST_ROW = round(1.4 * SAMPLING_RATE)
ROW_LENGTHS = batching.buckets(LONGEST, SHORTEST_ROW)
PADDING_MAX = 0.08


@given(
    lengths=st.lists(st.integers(400, LONGEST), max_size=60),
    bound=st.integers(1, 300 * SAMPLING_RATE),
)
def test_every_window_rides_once_in_a_shape_that_was_announced(lengths: list[int], bound: int) -> None:
    batches = batching.plan(lengths, ROW_LENGTHS, bound)

    assert sorted(member for batch in batches for member in batch.members) == list(range(len(lengths)))
    announced = set(batching.shapes(ROW_LENGTHS, bound))
    for batch in batches:
        rows = len(batch.members)
        assert (rows, batch.samples) in announced
        assert rows == 1 or rows * batch.samples <= bound
        longest = max(lengths[member] for member in batch.members)
        assert longest <= batch.samples
        assert batch.samples == ROW_LENGTHS[0] or longest > batch.samples / batching.RATIO - 1


def test_row_lengths_are_few_and_end_at_the_longest_window() -> None:
    assert len(ROW_LENGTHS) <= 18
    assert ROW_LENGTHS[-1] == LONGEST
    assert list(ROW_LENGTHS) == sorted(set(ROW_LENGTHS))
    assert ROW_LENGTHS[0] >= SHORTEST_ROW


def test_a_window_shorter_than_the_shortest_row_still_has_one() -> None:
    assert batching.buckets(3_000, SHORTEST_ROW) == (3_000,)


def test_a_window_that_fits_no_row_is_refused() -> None:
    with pytest.raises(ValueError, match="longest row"):
        batching.plan([LONGEST + 1], ROW_LENGTHS, bound=LONGEST)


def test_padding_share_is_of_what_is_computed() -> None:
    assert batching.padding_share([batching.Batch(100, (0, 1))], [90, 60]) == pytest.approx(0.25)
    assert batching.padding_share([], []) == 0.0


@pytest.mark.shared
@pytest.mark.parametrize("corpus", ["emodb", "librispeech", ""])
@pytest.mark.parametrize("bound_s", [16, 600])
def test_padding_stays_small_on_real_lengths(shared: Path, corpus: str, bound_s: int) -> None:
    with (shared / "audio" / "manifest.csv").open() as stream:
        seconds = [float(row["duration_s"]) for row in csv.DictReader(stream) if corpus in row["corpus"]]
    lengths = [
        end - start
        for duration in seconds
        for start, end in window_bounds(
            round(duration * SAMPLING_RATE), 15 * SAMPLING_RATE, LONGEST - 15 * SAMPLING_RATE
        )
    ]

    batches = batching.plan(lengths, ROW_LENGTHS, bound_s * SAMPLING_RATE)

    assert batching.padding_share(batches, lengths) <= PADDING_MAX

"""When a missing part can no longer come: every worker has passed the memo, and the agents have read what it wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.fusion.stage_progress import STEPS, ScoresRead, StageProgress

WORKERS, AGENTS = ("acoustic", "embedding"), ("fusion", "letters")


@dataclass
class Topics:
    """Two partitions of each topic, and how far each stage has committed. Workers write one result for each upload."""

    now: float = 0.0
    uploads: list[list[float]] = field(default_factory=lambda: [[], []])
    """When each was written."""
    results: list[list[tuple[str, float]]] = field(default_factory=lambda: [[], []])
    committed: dict[tuple[str, int], int] = field(default_factory=dict)

    def measured(self) -> Mapping[str, Mapping[int, tuple[int, int]]]:
        found = {}
        for stage in (*WORKERS, *AGENTS):
            written = {"fusion": [*map(len, self.results)], "letters": [0, 0]}.get(stage, [*map(len, self.uploads)])
            found[stage] = {at: (n := self.committed.get((stage, at), 0), written[at] - n) for at in range(2)}
        return found

    def work(self, stage: str, at: int, most: int) -> None:
        begin = self.committed.get((stage, at), 0)
        if stage in WORKERS:
            done = self.uploads[at][begin : begin + most]
            # A result may lie in any partition: topics may have been given partitions since.
            self.results[(at + len(done)) % 2] += [(stage, moment) for moment in done]
        else:
            done = [moment for _, moment in self.results[at][begin : begin + most]]
        self.committed[stage, at] = begin + len(done)

    def to_come(self) -> list[float]:
        """When the uploads were written of which a result is not yet read."""
        unread = [m for at in range(2) for _, m in self.results[at][self.committed.get(("fusion", at), 0) :]]
        return unread + [
            m for s in WORKERS for at in range(2) for m in self.uploads[at][self.committed.get((s, at), 0) :]
        ]


TRACES = st.lists(
    st.one_of(
        st.tuples(st.just("upload"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.sampled_from([*WORKERS, "fusion"]), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("measure"), st.just(0), st.just(0)),
    ),
    max_size=200,
)


@given(TRACES)
@settings(max_examples=300)
def test_nothing_comes_of_what_counts_as_passed_and_all_of_it_passes_in_the_end(
    steps: list[tuple[str, int, int]],
) -> None:
    topics = Topics()
    progress = StageProgress(WORKERS, AGENTS, clock=lambda: topics.now)
    for what, at, count in steps:
        topics.now += 1.0
        if what == "upload":
            topics.uploads[at] += [topics.now] * count
        elif what == "measure":
            progress.look(topics.measured(), topics.now)
        else:
            topics.work(what, at, count)
        behind_s = progress.behind_s()
        if behind_s is not None:
            assert all(moment > topics.now - behind_s for moment in topics.to_come())
    for stage in (*WORKERS, "fusion"):
        for at in range(2):
            topics.work(stage, at, 10_000)
    topics.now += 1.0
    progress.look(topics.measured(), topics.now)
    assert progress.behind_s() == 0.0


@pytest.mark.parametrize("away", WORKERS)
def test_while_a_worker_is_away_nothing_passes_and_what_waits_is_bounded(away: str) -> None:
    topics = Topics()
    progress = StageProgress(WORKERS, AGENTS, clock=lambda: topics.now)
    progress.look(topics.measured(), topics.now)
    for _ in range(100 * STEPS):
        topics.now += 3.0
        topics.uploads[0].append(topics.now)
        for stage in {*WORKERS, "fusion"} - {away}:
            for at in range(2):
                topics.work(stage, at, 10)
        progress.look(topics.measured(), topics.now)
    assert progress.behind_s() == topics.now
    assert len(progress._uploads[away]) < 10 * STEPS
    half = len(topics.uploads[0]) // 2
    topics.work(away, 0, half)
    for at in range(2):
        topics.work("fusion", at, 10_000)
    progress.look(topics.measured(), topics.now)
    assert 0.4 * topics.now < (progress.behind_s() or 0.0) < 0.6 * topics.now


def test_before_the_first_measurement_nothing_is_known() -> None:
    assert StageProgress(WORKERS, AGENTS).behind_s() is None


def test_a_topic_that_was_made_anew_is_followed_again() -> None:
    topics = Topics(uploads=[[0.0] * 50, []])
    progress = StageProgress(WORKERS, AGENTS, clock=lambda: topics.now)
    progress.look(topics.measured(), topics.now)
    again = Topics(now=10.0, uploads=[[9.0], []])
    topics.now = 10.0
    for stage in (*WORKERS, "fusion"):
        for at in range(2):
            again.work(stage, at, 10)
    progress.look(again.measured(), again.now)
    assert progress.behind_s() == 0.0


def test_scores_are_read_once_the_reader_has_passed_what_was_written_when_the_uploads_were_passed() -> None:
    """One upload, one result, one score; a measurement after each step."""
    clock = [0.0]
    progress = StageProgress(("acoustic",), ("fusion",), lambda: clock[0])
    read = ScoresRead(progress, "drift", lambda: clock[0])
    uploads, features, scores = (0, 1), (0, 0), (0, 0)
    seen = []
    for step in range(6):
        clock[0] = float(step)
        if step == 1:
            uploads, features = (1, 0), (0, 1)
        elif step == 2:
            features, scores = (1, 0), (0, 1)
        elif step == 4:
            scores = (1, 0)
        progress.look({"acoustic": {0: uploads}, "fusion": {0: features}, "drift": {0: scores}}, clock[0])
        read.look({"acoustic": {0: uploads}, "fusion": {0: features}, "drift": {0: scores}})
        seen.append(read.behind_s())
    assert seen[:4] == [None] * 4
    assert seen[4] is not None
    assert seen[4] <= 3.0
    assert seen[5] == 0.0

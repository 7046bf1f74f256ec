import os
import signal as signals
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import FloatArray, MemoFeatures, MemoUploaded, Modality, Quality
from schemas.markers import MARKER_NAMES
from schemas.settings import Settings
from tests.unit.workers.acoustic.voices import buzz, noise, silence
from workers.acoustic.extraction import extract
from workers.acoustic.feature_names import FEATURE_NAMES, FUNCTIONAL_NAMES, WINDOW_NAMES
from workers.acoustic.process_pool import ExtractionPool
from workers.acoustic.stage import AcousticStage
from workers.audio.memo import Memo

QUALITY = Quality(speech_s=1.0, snr_db=30.0, clipped=0.0, bandwidth_hz=8000.0)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Deadly(np.ndarray):
    """A signal that ends the process which receives it, as a crash inside openSMILE would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (139,)


class DeadlyOnce(np.ndarray):
    """A signal that kills the process at work on it, the first time; `left`: the mark that it leaves."""

    left: str

    def __reduce__(self) -> tuple[object, tuple[FloatArray, str]]:
        return _received, (np.asarray(self), self.left)


def _received(signal: FloatArray, left: str) -> FloatArray:
    if not Path(left).exists():
        Path(left).touch()
        threading.Timer(0.2, os.kill, (os.getpid(), signals.SIGKILL)).start()
    return signal


def memo(name: str, signal: FloatArray) -> Memo:
    return Memo(MemoUploaded(name, "user", NOON, NOON, "memory://memo"), signal, QUALITY)


def only(outcome: object) -> MemoFeatures:
    assert isinstance(outcome, list)
    assert len(outcome) == 1
    record = outcome[0]
    assert isinstance(record, MemoFeatures)
    return record


@pytest.fixture(scope="module")
def stage() -> Iterator[AcousticStage]:
    stage = AcousticStage(Settings(acoustic_processes=2))
    yield stage
    stage.close()


def test_a_memo_becomes_one_record_that_says_what_it_is(stage: AcousticStage) -> None:
    signal = buzz(150, 1.0)
    record = only(stage.process([memo("a", signal)])[0])
    assert record.memo_id == "a"
    assert record.modality is Modality.ACOUSTIC
    assert record.names == FEATURE_NAMES == FUNCTIONAL_NAMES + MARKER_NAMES
    assert record.summary.shape == (len(FEATURE_NAMES),)
    assert record.windows.shape == (1, len(WINDOW_NAMES))
    assert record.quality == QUALITY
    assert record.duration_s == 1.0
    assert len(record.extractor.weights_hash) == 64
    here = extract(signal)
    np.testing.assert_array_equal(record.summary, here.summary)
    np.testing.assert_array_equal(record.windows, here.windows)


def test_every_nan_has_its_reason_and_nothing_else_has(stage: AcousticStage) -> None:
    voice, still = (only(o) for o in stage.process([memo("a", buzz(150, 1.0)), memo("b", silence(1.0))]))
    for record in (voice, still):
        undefined = [name for name, value in zip(record.names, record.summary, strict=True) if np.isnan(value)]
        assert [entry.split(":")[0] for entry in record.undefined] == undefined
        assert np.isfinite(record.windows).all()
    assert voice.undefined == ("pause_mean:no_pause", "pause_longest:no_pause")
    assert "jitter:no_voiced_frames" in still.undefined


def test_a_poisoned_memo_leaves_its_neighbours_alone(stage: AcousticStage) -> None:
    first, short, last = stage.process([memo("a", buzz(150, 0.5)), memo("b", silence(0.01)), memo("c", buzz(200, 0.5))])
    assert isinstance(short, Poison)
    assert short.reason == "acoustic:too_short"
    assert only(first).memo_id == "a"
    assert only(last).memo_id == "c"


def test_a_batch_survives_the_death_of_its_processes() -> None:
    stage = AcousticStage(Settings(acoustic_processes=2))
    try:
        before = stage.process([memo("a", buzz(150, 0.5)), memo("b", buzz(200, 0.5))])
        for child in stage._pool.idle:
            os.kill(child.pid, signals.SIGKILL)
        after = stage.process([memo("a", buzz(150, 0.5)), memo("b", buzz(200, 0.5))])
    finally:
        stage.close()
    assert [only(o) for o in after] == [only(o) for o in before]


def test_a_process_that_hangs_is_ended_and_its_memo_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = AcousticStage(Settings(acoustic_processes=1))
    try:
        before = stage.process([memo("a", buzz(150, 0.5))])
        (child,) = stage._pool.idle
        monkeypatch.setattr(child, "_wall_s", 0.2)
        os.kill(child.pid, signals.SIGSTOP)
        after = stage.process([memo("a", buzz(150, 0.5))])
    finally:
        stage.close()
    assert not child.alive
    assert [only(o) for o in after] == [only(o) for o in before]


def test_a_process_killed_in_the_middle_of_a_memo_costs_nothing_but_time(stage: AcousticStage, tmp_path: Path) -> None:
    long = np.tile(buzz(150, 10.0) + noise(10.0, 0.01), 3).view(DeadlyOnce)
    long.left = str(tmp_path / "killed")
    outcomes = stage.process([memo("a", buzz(150, 0.5)), memo("b", long), memo("c", buzz(200, 0.5))])
    assert (tmp_path / "killed").exists()
    for outcome, signal in zip(outcomes, (buzz(150, 0.5), np.asarray(long), buzz(200, 0.5)), strict=True):
        np.testing.assert_array_equal(only(outcome).summary, extract(signal).summary)


def test_a_memo_that_kills_its_process_is_poison_and_its_neighbours_go_on(stage: AcousticStage) -> None:
    deadly = buzz(150, 0.5).view(Deadly)
    outcomes = stage.process([memo("a", buzz(150, 0.5)), memo("b", deadly), memo("c", buzz(200, 0.5))])
    assert isinstance(outcomes[1], Poison)
    assert outcomes[1].reason == "acoustic:crash"
    assert only(outcomes[0]).memo_id == "a"
    assert only(outcomes[2]).memo_id == "c"
    assert only(stage.process([memo("d", buzz(150, 0.5))])[0]).memo_id == "d"


def test_two_batches_at_once_share_the_processes_and_only_a_memo_at_fault_is_blamed(stage: AcousticStage) -> None:
    deadly = [memo("a", buzz(150, 0.5)), memo("b", buzz(150, 0.5).view(Deadly))]
    sound = [memo(f"m{number}", buzz(150 + 10 * number, 0.5)) for number in range(6)]
    with ThreadPoolExecutor(stage.at_once) as threads:
        first, second = threads.submit(stage.process, deadly), threads.submit(stage.process, sound)
    assert only(first.result()[0]).memo_id == "a"
    assert isinstance(first.result()[1], Poison)
    for outcome, each in zip(second.result(), sound, strict=True):
        np.testing.assert_array_equal(only(outcome).summary, extract(each.signal).summary)


def test_a_signal_is_let_go_once_its_features_are_there() -> None:
    pool, signal = ExtractionPool(1, 15.0), noise(60.0)
    tracemalloc.start()
    try:
        pool.extract([signal])
        deadline = time.monotonic() + 20
        while tracemalloc.get_traced_memory()[0] > signal.nbytes / 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert tracemalloc.get_traced_memory()[0] < signal.nbytes / 2
    finally:
        tracemalloc.stop()
        pool.close()


def test_an_empty_batch_starts_nothing(stage: AcousticStage) -> None:
    assert list(stage.process([])) == []

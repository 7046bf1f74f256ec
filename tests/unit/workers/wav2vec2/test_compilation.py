"""Programs: compiled once per shape, told of to the health check, on the backends that there are."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from schemas.errors import ConfigurationError
from workers.service.health import HEALTH
from workers.wav2vec2.compilation import Tensor, by_xla_on_cpu, compiled, configure
from workers.wav2vec2.engines.progress import COMPILE_WITHIN_S


class Doubling:
    """Twice its input. `traced`: shapes that it was compiled for, and within which time each compilation was due."""

    def __init__(self) -> None:
        self.traced: list[tuple[int, ...]] = []
        self.due_s: list[float | None] = []

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        self.traced.append(tuple(x.shape))
        work = HEALTH.part("embedding")._work
        self.due_s.append(None if work is None else work.within_s)
        return (2 * x, ops.sum(x))


def test_a_program_takes_and_gives_arrays() -> None:
    twice, total = compiled(Doubling(), [])(np.arange(3, dtype=np.float32))
    assert isinstance(twice, np.ndarray)
    assert twice.tolist() == [0, 2, 4]
    assert total == 3


def test_a_program_is_compiled_once_for_every_shape() -> None:
    forward = Doubling()
    program = compiled(forward, [])
    for length in (3, 4, 3, 4):
        program(np.ones(length, np.float32))
    assert sorted(set(forward.traced)) == [(3,), (4,)]
    traces = len(forward.traced)
    program(np.ones(3, np.float32))
    assert len(forward.traced) == traces


def test_a_program_reads_its_variables() -> None:
    variable = keras.Variable(np.array([10.0], np.float32))
    program = compiled(lambda x: (x + variable.value,), [variable])
    assert program(np.ones(2, np.float32))[0].tolist() == [11, 11]


def test_compiling_may_take_longer_than_a_batch() -> None:
    part, forward = HEALTH.part("embedding"), Doubling()
    program = compiled(forward, [])
    part.begin("a batch", within_s=1.0)
    try:
        program(np.ones(3, np.float32))
        assert set(forward.due_s) == {COMPILE_WITHIN_S}
        assert part._work is not None
        assert part._work.within_s == 1.0
    finally:
        part.rest()


def test_a_backend_that_nobody_supports_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ConfigurationError, match=r"'numpy'.*tensorflow, jax or torch"):
        compiled(Doubling(), [])
    assert not by_xla_on_cpu()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the other backends take threads at any time")
def test_settings_that_come_too_late_change_nothing() -> None:
    compiled(Doubling(), [])(np.ones(1, np.float32))
    before = tf.config.threading.get_intra_op_parallelism_threads()
    configure(before + 1, memory_growth=True)
    assert tf.config.threading.get_intra_op_parallelism_threads() == before


def test_a_cache_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="UNDERTONE_PROGRAM_CACHE"):
        configure(0, memory_growth=True, cache=tmp_path / "file")

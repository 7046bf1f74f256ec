"""Hostile recordings against real child processes: each costs its own memo, and nothing of anybody else's."""

import os
import signal as signals
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import Poison, Transient
from tests import audio_bombs
from tests.audio_files import broken, encodings, sndfile, spoken
from workers.audio import decoder_pool
from workers.audio.decode import decode
from workers.audio.decoder_pool import DecoderPool

SIGNAL = spoken(2.0)
ENCODINGS = encodings(SIGNAL)
MINUTES = audio_bombs.long_silence(30.0) * 58
"""29 minutes, which take several CPU seconds to decode."""

LARGE_TABLE = audio_bombs.many_claimed_samples(60_000_000, padding=8_000_000)
"""A file that could hold the 60 million samples that it claims, whose index takes 1.4 GB."""


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool()
    yield pool
    pool.close()


def reason(pool: DecoderPool, data: bytes) -> str:
    with pytest.raises(Poison) as caught:
        pool.decode(data, max_s=1800.0, min_s=0.1)
    return caught.value.reason


def children(pool: DecoderPool) -> list[int]:
    return [child.pid for child in pool._children.idle]


def peak_kb(pool: DecoderPool) -> int:
    """Resident memory of the one child at its peak, in kB."""
    (pid,) = children(pool)
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_child_gives_what_decoding_here_gives(pool: DecoderPool, name: str) -> None:
    there, here = pool.decode(ENCODINGS[name], max_s=60.0, min_s=0.1), decode(ENCODINGS[name], max_s=60.0, min_s=0.1)
    np.testing.assert_array_equal(there.signal, here.signal)
    assert asdict(there) | {"signal": None} == asdict(here) | {"signal": None}


def test_poison_keeps_its_reason_and_the_child_is_kept(pool: DecoderPool) -> None:
    for data in broken(SIGNAL).values():
        with pytest.raises(Poison) as here:
            decode(data, max_s=1800.0, min_s=0.1)
        with pytest.raises(Poison) as there:
            pool.decode(data, max_s=1800.0, min_s=0.1)
        assert (there.value.reason, there.value.detail) == (here.value.reason, here.value.detail)
    assert len(children(pool)) == 1


def test_room_is_reserved_before_decoding_by_what_the_file_declares(pool: DecoderPool) -> None:
    reserved: list[float] = []
    pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1, reserve=reserved.append)
    assert reserved == [2.0]


def test_a_refused_reservation_ends_the_memo_and_not_the_pool(pool: DecoderPool) -> None:
    def refuse(_: float) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1, reserve=refuse)
    assert len(pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1).signal) == len(SIGNAL)


@pytest.mark.parametrize("make", [audio_bombs.many_claimed_samples, audio_bombs.many_claimed_fragment_samples])
def test_a_table_of_85_million_samples_is_refused_by_its_header(pool: DecoderPool, make: Callable[[], bytes]) -> None:
    assert reason(pool, make()) == "audio:undecodable"


def test_tables_that_a_large_file_could_hold_meet_the_memory_limit(pool: DecoderPool) -> None:
    # FFmpeg gives up the table that it has no memory for, and finds no audio.
    assert reason(pool, LARGE_TABLE) in {"audio:undecodable", "audio:decoder_memory"}
    assert len(pool.decode(ENCODINGS["m4a"], max_s=60.0, min_s=0.1).signal) > 0


@pytest.mark.parametrize("make", [audio_bombs.large_cover, audio_bombs.large_cover_of_m4a, audio_bombs.many_tag_frames])
def test_pictures_and_tags_cost_neither_memory_nor_time(make: Callable[[], bytes]) -> None:
    pool = DecoderPool(cpu_s=2.0)
    try:
        assert len(pool.decode(make(), max_s=60.0, min_s=0.1).signal) == pytest.approx(48_000, abs=2000)
        assert peak_kb(pool) < 200_000
    finally:
        pool.close()


def test_too_many_channels_are_refused_by_the_header(pool: DecoderPool) -> None:
    reserved: list[float] = []
    with pytest.raises(Poison, match="64 channels"):
        pool.decode(audio_bombs.many_channels(), max_s=1800.0, min_s=0.1, reserve=reserved.append)
    assert reserved == []


def test_more_cpu_time_than_allowed_is_the_end_of_the_memo_alone() -> None:
    pool = DecoderPool(cpu_s=1.0)
    try:
        assert reason(pool, MINUTES) == "audio:decoder_timeout"
        assert len(pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1).signal) == len(SIGNAL)
    finally:
        pool.close()


def test_a_child_that_stands_still_is_ended_and_the_memo_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, attempts = DecoderPool(wall_s=3.0), []
    attempt = pool._attempt

    def counted(*arguments: object) -> object:
        attempts.append(arguments)
        return attempt(*arguments)  # type: ignore[arg-type]

    def stop(_: float) -> None:
        """The child waits for room: it is stopped before it gets any."""
        (child,) = running
        os.kill(child.pid, signals.SIGSTOP)

    running = _watched(monkeypatch)
    monkeypatch.setattr(pool, "_attempt", counted)
    try:
        with pytest.raises(Poison) as caught:
            pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1, reserve=stop)
        assert caught.value.reason == "audio:decoder_timeout"
        assert len(attempts) == 2
    finally:
        pool.close()


@pytest.mark.parametrize(("deaths", "expected"), [(1, "2.0 s"), (2, "audio:decoder_crash")])
def test_one_death_is_forgiven_and_two_are_a_verdict(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch, deaths: int, expected: str
) -> None:
    running, left = _watched(monkeypatch), [None] * deaths

    def kill(_: float) -> None:
        if left:
            left.pop()
            os.kill(running.pop().pid, signals.SIGSEGV)

    try:
        outcome = f"{len(pool.decode(ENCODINGS['wav'], max_s=60.0, min_s=0.1, reserve=kill).signal) / 16000} s"
    except Poison as poison:
        outcome = poison.reason
    assert outcome == expected


def test_neighbours_of_bombs_lose_nothing(pool: DecoderPool) -> None:
    with ThreadPoolExecutor(4) as threads:
        bad = [threads.submit(reason, pool, LARGE_TABLE) for _ in range(3)]
        good = [threads.submit(pool.decode, ENCODINGS["flac"], max_s=60.0, min_s=0.1) for _ in range(20)]
        assert {each.result().signal.tobytes() for each in good} == {good[0].result().signal.tobytes()}
        assert {each.result() for each in bad} <= {"audio:undecodable", "audio:decoder_memory"}


def test_an_idle_child_that_died_is_replaced(pool: DecoderPool) -> None:
    pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1)
    (pid,) = children(pool)
    os.kill(pid, signals.SIGKILL)
    pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1)
    assert children(pool) != [pid]


def test_a_child_that_cannot_start_is_no_fault_of_the_memo(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Transient, match="ended at its start"):
        pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1)
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    with pytest.raises(Transient, match="cannot be started"):
        pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1)


def test_closing_ends_the_children(pool: DecoderPool) -> None:
    pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1)
    (pid,) = children(pool)
    pool.close()
    pool.close()
    assert not Path(f"/proc/{pid}").exists()


PARENT = """
import sys, threading
from tests.audio_files import sndfile, spoken
from workers.audio.decoder_pool import DECODERS
def reserve(_):
    print(*[child.pid for child in DECODERS._children.idle] or [pid.pop()], flush=True)
    threading.Event().wait()
pid = []
DECODERS.decode(sndfile(spoken(1.0)), max_s=9.0, min_s=0.1)
pid.append(DECODERS._children.idle[0].pid)
DECODERS.decode(sndfile(spoken(1.0)), max_s=9.0, min_s=0.1, reserve=reserve)
"""


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=_environment())
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone = threading.Event()
    while not gone.wait(0.01):
        with suppress(FileNotFoundError):
            # A zombie whose new parent has not looked at it yet has ended as well.
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                continue
        gone.set()


def test_a_child_imports_decoders_only_and_gets_no_secrets(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_REDIS_URL", "redis://:secret@example")
    pool.decode(ENCODINGS["wav"], max_s=60.0, min_s=0.1)
    (pid,) = children(pool)
    assert b"UNDERTONE" not in Path(f"/proc/{pid}/environ").read_bytes()
    heavy = "{'tensorflow', 'keras', 'aiokafka', 'redis', 'scipy', 'opensmile', 'pydantic'}"
    program = f"import sys, workers.audio.decoder_process as p; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=_environment())
    assert loaded.stdout.strip() == b"[]"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[decoder_pool._Decoder]:
    """The children that start from now on, as they start."""
    started: list[decoder_pool._Decoder] = []
    start = decoder_pool._Decoder.__init__

    def watched(child: decoder_pool._Decoder, wall_s: float) -> None:
        start(child, wall_s)
        started[:] = [child]

    monkeypatch.setattr(decoder_pool._Decoder, "__init__", watched)
    return started


def test_an_empty_recording_is_empty_there_too(pool: DecoderPool) -> None:
    assert reason(pool, b"") == "audio:empty"
    assert reason(pool, sndfile(SIGNAL)[:44]) == "audio:truncated"

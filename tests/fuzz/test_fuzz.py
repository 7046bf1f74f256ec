"""The fuzzer finds what is there to be found, and in a few inputs of one seed finds nothing."""

import time
from pathlib import Path
from random import Random

import pytest

from schemas.state_keys import DRIFT
from tests.faults.poisons import avro
from tests.fuzz import containers, recordings, records, targets
from tests.fuzz.campaign import campaign
from tests.fuzz.pipeline import Pipeline, Record
from tests.fuzz.targets import TARGETS, Target, Verdict, made
from tests.fuzz.worker import Tally, tally_of, work

SEED = 17
COUNTS = {"records": 6, "state": 12, "writers": 500, "recordings": 120}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_slice_of_one_seed_has_no_fault(name: str) -> None:
    tally = campaign(name, SEED, count=COUNTS[name], jobs=1)
    assert tally.faults == {}
    assert tally.inputs == COUNTS[name]


@pytest.mark.parametrize("name", TARGETS)
def test_an_input_is_the_same_every_time_and_comes_back_from_its_file(name: str) -> None:
    target = TARGETS[name]
    one, again, other = (target.pack(made(name, SEED, number)) for number in (1, 1, 2))
    assert one == again != other
    assert target.pack(target.unpack(one)) == one


def test_recordings_in_every_encoding_are_as_they_should_be_before_anything_is_changed() -> None:
    for name, data in containers.whole().items():
        found = recordings.heard(data)
        assert (found.fault, found.reason) == ("", "scored"), name
        assert found.length_s == pytest.approx(containers.SECONDS, abs=0.2)


def test_most_mutated_recordings_still_have_a_part_that_is_read() -> None:
    changed = [containers.fuzzed(Random(number)) for number in range(60)]
    assert sum(data not in containers.whole().values() for _, data in changed) > 50
    assert {name for name, _ in changed} > {"wav", "flac", "webm", "m4a"}


def test_another_outcome_of_a_good_memo_is_a_fault() -> None:
    value = avro.framed("memo_uploaded", avro.upload("good-1", "uninvited", "file:///x"))
    intruder = records.Batch((Record("memos.uploaded", b"good-1", value, {}, 1000),))
    assert records.outcome(intruder).fault == "the outcome of good memos is another"
    harmless = Record("memos.uploaded", b"x", b"garbage", {}, 1001)
    both = records.Batch((harmless, *intruder.records), {DRIFT.key("nobody"): b"\x01"})
    assert records.smallest(both, "the outcome of good memos is another", 60.0) == intruder


def test_an_exception_is_a_fault_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Pipeline, "offer", failing)
    assert records.outcome(records.Batch()).fault.startswith("ends the process: ZeroDivisionError")


def test_a_process_that_dies_is_a_fault_and_the_rest_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_AUDIO_MAX_S", "no number")
    tally = campaign("recordings", SEED, count=2, jobs=1)
    assert tally.faults == {"ends its process: exit status 1": 2}
    assert tally.first == {"ends its process: exit status 1": 0}
    assert tally.inputs == 0


def test_what_a_worker_finds_lies_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = Target("things", 1, lambda rng: b"12345678", _verdict, lambda data, _: data[:1], bytes, bytes)
    monkeypatch.setitem(targets.TARGETS, "things", faulty)
    folder = tmp_path / "campaign" / "worker"
    folder.mkdir(parents=True)
    work(folder, "things", 3, range(4), time.monotonic() + 60)
    tally = tally_of(folder)
    assert (tally.inputs, tally.faults, tally.first) == (4, {"too long": 4}, {"too long": 0})
    assert (tmp_path / "things-3-0.bin").read_bytes() == b"1"
    total = Tally()
    total.add(tally)
    total.add(tally)
    assert (total.inputs, total.outcomes, total.slowest) == (8, {"bytes": 64}, (8.0, 0.0, 3))


def _verdict(data: bytes) -> Verdict:
    return Verdict("too long", {"bytes": len(data)}, float(len(data)))

"""An erasure that somebody asked a process for: it waits, stops and goes on, and names no one."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from streams.privacy.certificate import NotCertified, verified
from streams.privacy.erasing import NoSuchPerson, check_certificate
from streams.privacy.erasures import DEFECT, Erasures, ErasureStatus
from streams.privacy.journal import Request
from streams.privacy.resuming import HELD_S, Resuming
from streams.privacy.steps import Step
from tests.erasures import MemoryPlace, enrolled, until, without_servers
from tests.keys import sealing
from workers.privacy.key_directory import KeyDirectory

WHO, OTHER = "a-rare-pseudonym", "another"
REQUEST = Request("asked in writing", "T-7")
DONE = ErasureStatus.DONE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = sealing(tmp_path, key_cache_s=0.5)
    enrolled(made, WHO, OTHER)
    return made


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> MemoryPlace:
    made = MemoryPlace()
    without_servers(monkeypatch, made)
    return made


@pytest.fixture
async def erasures(settings: Settings, place: MemoryPlace) -> AsyncIterator[Erasures]:
    made = Erasures(settings, again_s=0.01)
    yield made
    place.held = False
    await made.close()


async def test_it_runs_to_its_certificate_and_says_nowhere_who_it_was(
    erasures: Erasures, settings: Settings, place: MemoryPlace
) -> None:
    begun = await erasures.start(WHO, REQUEST)
    assert begun.status in (ErasureStatus.RUNNING, DONE)
    state = await until(erasures, begun.erasure_id, DONE)
    assert (state.steps, state.next_step, state.problem) == (list(Step), None, None)
    assert state.finished_at is not None
    assert [person.user_id for person in place.forgot] == [WHO]
    certificate = await erasures.certificate(begun.erasure_id)
    assert certificate is not None
    assert verified(certificate)["subject"] == begun.erasure_id
    assert check_certificate(settings, certificate)["reason"] == REQUEST.reason
    assert WHO not in f"{await erasures.all()} {certificate.decode()}"
    again = await erasures.start(WHO, Request("asked again"))
    assert (again.status, again.reason) == (DONE, REQUEST.reason), "an erasure has one certificate"
    assert await erasures.certificate(again.erasure_id) == certificate
    run = erasures._runs[bytes.fromhex(begun.erasure_id)]
    await asyncio.to_thread(run.join, 20.0)
    directory = KeyDirectory.open(settings)
    assert directory.status().store_key == 3, "what is left of the row with the pseudonym opens no more either"
    directory.close()


async def test_a_service_that_does_not_answer_is_waited_for(erasures: Erasures, place: MemoryPlace) -> None:
    place.failing = [Transient("Redis does not answer")] * 3
    begun = await erasures.start(WHO, REQUEST)
    assert (await until(erasures, begun.erasure_id, DONE)).problem is None


@pytest.mark.parametrize(
    ("error", "said"),
    [(ConfigurationError("Redis refuses: grant bgrewriteaof"), "bgrewriteaof"), (ValueError("secret"), DEFECT)],
)
async def test_one_that_cannot_go_on_says_why_and_goes_on_when_it_is_asked_for_again(
    erasures: Erasures, place: MemoryPlace, error: Exception, said: str
) -> None:
    place.failing = [error]
    begun = await erasures.start(WHO, REQUEST)
    stopped = await until(erasures, begun.erasure_id, ErasureStatus.STOPPED)
    assert said in str(stopped.problem)
    assert (stopped.next_step, await erasures.certificate(begun.erasure_id)) == (Step.DELETE, None)
    await erasures.start(WHO, REQUEST)
    assert (await until(erasures, begun.erasure_id, DONE)).problem is None


async def test_a_process_that_ends_leaves_it_to_the_next_one_with_the_same_pseudonym(
    erasures: Erasures, settings: Settings, place: MemoryPlace
) -> None:
    place.held = True
    begun = await erasures.start(WHO, REQUEST)
    await until(erasures, begun.erasure_id, Step.DELETE)
    await erasures.close()
    later = Erasures(settings)
    found = await later.one(begun.erasure_id)
    assert found is not None
    assert (found.status, found.next_step) == (ErasureStatus.INTERRUPTED, Step.DELETE)
    place.held = False
    assert (await later.start(WHO, REQUEST)).erasure_id == begun.erasure_id
    await until(later, begun.erasure_id, DONE)
    await later.close()


@pytest.mark.parametrize("killed", [False, True])
async def test_after_a_restart_one_process_goes_on_with_it_by_itself(
    erasures: Erasures, settings: Settings, place: MemoryPlace, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    place.held = True
    begun = await erasures.start(WHO, REQUEST)
    await until(erasures, begun.erasure_id, Step.DELETE)
    others = [Erasures(settings, again_s=0.01) for _ in range(2)]
    assert [await other.take_over() for other in others] == [0, 0], "it has a process"
    (seen,) = await others[0].all()
    assert seen.status is ErasureStatus.RUNNING
    assert (await others[0].start(WHO, REQUEST)).status is ErasureStatus.RUNNING
    assert not others[0]._runs, "which asking for it again does not change"
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr(Resuming, "release", lambda *_: None)
            await erasures.close()
        assert [await other.take_over() for other in others] == [0, 0], "nobody knows yet that it was killed"
        for other in others:
            other._resuming()._clock = lambda: time.time() + HELD_S + 1
    else:
        await erasures.close()
    assert sorted(await asyncio.gather(*(other.take_over() for other in others))) == [0, 1]
    place.held = False
    state = await until(others[0], begun.erasure_id, DONE)
    assert (state.reason, state.ticket) == (REQUEST.reason, REQUEST.ticket)
    assert {person.user_id for person in place.forgot} == {WHO}
    assert [await other.take_over() for other in others] == [0, 0]
    for other in others:
        await other.close()


async def test_one_that_stopped_is_tried_by_the_next_process_and_not_again_and_again(
    erasures: Erasures, settings: Settings, place: MemoryPlace
) -> None:
    place.failing = [ConfigurationError("Redis refuses")]
    begun = await erasures.start(WHO, REQUEST)
    await until(erasures, begun.erasure_id, ErasureStatus.STOPPED)
    assert await erasures.take_over() == 0
    await erasures.close()
    later = Erasures(settings, again_s=0.01)
    looking = asyncio.create_task(later.run())
    await until(later, begun.erasure_id, DONE)
    looking.cancel()
    await later.close()


async def test_nobody_is_erased_by_a_wrong_request(erasures: Erasures, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="leave the name out"):
        await erasures.start(WHO, Request(f"{WHO} asked"))
    with pytest.raises(NoSuchPerson):
        await erasures.start("nobody", REQUEST)
    assert await erasures.all() == []
    clear = Erasures(Settings(home=tmp_path / "clear"))
    with pytest.raises(NoSuchPerson, match="nothing was ever sealed"):
        await clear.start(WHO, REQUEST)
    assert await clear.all() == []
    assert not (tmp_path / "clear").exists(), "asking makes no keys"


async def test_a_certificate_of_another_system_does_not_hold(
    erasures: Erasures, settings: Settings, tmp_path: Path
) -> None:
    begun = await erasures.start(WHO, REQUEST)
    await until(erasures, begun.erasure_id, DONE)
    certificate = await erasures.certificate(begun.erasure_id)
    assert certificate is not None
    foreign = sealing(tmp_path / "foreign")
    with pytest.raises(NotCertified, match="another key"):
        check_certificate(foreign, certificate)
    with pytest.raises(NotCertified):
        check_certificate(settings, certificate.replace(b"in writing", b"in person "))

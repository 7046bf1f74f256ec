"""Erasures that somebody asks a process for: each runs in a thread of its own, and the journal says how far it is.

What is recorded outlives the process. `run` goes on with what a process that ended has left, at the first step that is
not done; so does whoever asks for it again with the same pseudonym, here or by `undertone erase`.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NoReturn, TypeAlias

from schemas.errors import Transient, UndertoneError
from schemas.settings import Settings
from streams.privacy.erasing import NoSuchPerson, begin_erasure, erase_person
from streams.privacy.journal import ErasureJournal, Recorded, Request
from streams.privacy.places import Person, Place
from streams.privacy.resuming import HELD_S, Resumed, Resuming
from streams.privacy.steps import Step
from streams.privacy.telling import Tell
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_tables import SERVED, KeyDatabase, engine_of

log = logging.getLogger(__name__)

AGAIN_S = 10.0
"""Seconds after which an erasure goes on that waits for a service."""
ENDED_WITHIN_S = 5.0
"""Seconds that a process which shuts down waits for an erasure to leave its step."""
DEFECT = "an unexpected error: the log of this process has it; ask for the erasure again, it goes on"


class ErasureStatus(StrEnum):
    """Whether somebody has to do something about an erasure."""

    RUNNING = "running"
    """This process, or another one of its kind, takes its steps."""
    WAITING = "waiting"
    """This process goes on as soon as a service answers; `problem` says which."""
    STOPPED = "stopped"
    """This process could not go on: fix what `problem` says, then ask for it again."""
    INTERRUPTED = "interrupted"
    """Not finished, and no process of this kind is at it: one goes on within a minute, where one was asked for it. A
    command may be at it; else run that again."""
    DONE = "done"
    """It has its certificate."""


Standing: TypeAlias = tuple[ErasureStatus, str]
"""Status of a run, and its problem."""


@dataclass(frozen=True, slots=True)
class ErasureState:
    """One erasure, without a name. erasure_id: the subject; steps: those that are done; problem: why it does not go on.

    next_step: null when it is done.
    """

    erasure_id: str
    status: ErasureStatus
    steps: list[Step]
    next_step: Step | None
    reason: str
    ticket: str | None
    started_at: datetime
    finished_at: datetime | None
    problem: str | None


class _Run:
    """One erasure, in a thread with a loop of its own: it reads every record there is, and keeps no request waiting."""

    def __init__(
        self, work: Callable[[], Awaitable[object]], resuming: Resuming, subject: bytes, again_s: float
    ) -> None:
        self._work, self._resuming, self._subject, self._again_s = work, resuming, subject, again_s
        self.status, self.problem = ErasureStatus.RUNNING, ""
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._to_the_end())
        self._thread = threading.Thread(target=self._run, name="erasure", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it is done, or could not go on."""
        return self.status in (ErasureStatus.DONE, ErasureStatus.STOPPED)

    def cancel(self) -> None:
        """Leave it where it is, as soon as its step waits for something."""
        with suppress(RuntimeError):  # it has just ended
            self._loop.call_soon_threadsafe(self._task.cancel)

    def join(self, within_s: float) -> None:
        """Return when the thread has ended, or after so many seconds."""
        self._thread.join(within_s)

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    async def _to_the_end(self) -> None:
        holding = asyncio.create_task(self._keep_hold())
        try:
            await self._take_steps()
        finally:
            holding.cancel()
        if self.status is ErasureStatus.STOPPED:
            with suppress(UndertoneError):
                await asyncio.to_thread(self._resuming.release, self._subject)

    async def _keep_hold(self) -> None:
        while True:
            await asyncio.sleep(HELD_S / 3)
            with suppress(UndertoneError):  # the step says why the directory does not answer
                await asyncio.to_thread(self._resuming.hold, self._subject)

    async def _take_steps(self) -> None:
        while not self.is_over:
            try:
                await self._work()
                self.status, self.problem = ErasureStatus.DONE, ""
            except Transient as error:
                self.status, self.problem = ErasureStatus.WAITING, str(error)
                log.warning("an erasure waits: %s", error)
                await asyncio.sleep(self._again_s)
            except UndertoneError as error:
                self.status, self.problem = ErasureStatus.STOPPED, str(error)
                log.error("an erasure cannot go on: %s", error)  # noqa: TRY400  # the message says what to do
            except Exception:
                self.status, self.problem = ErasureStatus.STOPPED, DEFECT
                log.exception("an erasure cannot go on")


class Erasures:
    """Those of one process. more: places on this machine; tell: informs receivers; again_s: as AGAIN_S."""

    def __init__(
        self, settings: Settings, more: Sequence[Place] = (), tell: Tell | None = None, again_s: float = AGAIN_S
    ) -> None:
        self._settings, self._more, self._tell, self._again_s = settings, more, tell, again_s
        self._runs: dict[bytes, _Run] = {}
        self._database: KeyDatabase | None = None
        self._held: Resuming | None = None
        self._opening = threading.Lock()

    async def start(self, user_id: str, request: Request) -> ErasureState:
        """Erase a person, or go on with an erasure that is not finished; returns once the journal has it.

        Raises ConfigurationError for a request that names the person, NoSuchPerson, Transient.
        """
        request.check_unnamed(user_id)
        if not KeyDirectory.is_made(self._settings):
            never = "nothing was ever sealed, so no one has keys to destroy: there is no key directory"
            raise NoSuchPerson(never if self._settings.key_service_url is None else SERVED)
        erasure = await asyncio.to_thread(begin_erasure, self._settings, user_id, request)
        subject = erasure.person.subject
        run = self._runs.get(subject)
        wanted = Step.CERTIFY not in erasure.done and (run is None or run.is_over)
        if wanted and await asyncio.to_thread(self._kept, erasure.person):
            self._go_on(erasure.person, request)
        state = await self.one(subject.hex())
        assert state is not None  # it was just written
        return state

    async def run(self) -> NoReturn:
        """Go on with erasures that a process has left, until cancelled."""
        while True:
            try:
                await self.take_over()
            except UndertoneError as error:
                log.warning("interrupted erasures are not looked for: %s", error)
            except Exception:
                log.exception("interrupted erasures are not looked for")
            await asyncio.sleep(self._again_s)

    async def take_over(self) -> int:
        """Go on with erasures that no process is at; how many. Raises Transient, ConfigurationError."""
        if not KeyDirectory.is_made(self._settings):
            return 0
        found = await asyncio.to_thread(self._left)
        for person, request in found:
            log.info("an erasure goes on that was interrupted")
            self._go_on(person, request)
        return len(found)

    async def all(self) -> list[ErasureState]:
        """Every erasure of this key directory, the newest first. Raises Transient."""
        standings = self._standings()
        rows, held = await asyncio.to_thread(self._recorded)
        return [_state(row, standings.get(row.subject), row.subject in held) for row in rows]

    async def one(self, erasure_id: str) -> ErasureState | None:
        """One erasure; None where there is none. Raises Transient."""
        standings = self._standings()
        rows, held = await asyncio.to_thread(self._recorded, erasure_id)
        return _state(rows[0], standings.get(rows[0].subject), rows[0].subject in held) if rows else None

    async def certificate(self, erasure_id: str) -> bytes | None:
        """The certificate; None while there is none. Raises Transient."""
        rows, _ = await asyncio.to_thread(self._recorded, erasure_id)
        return rows[0].certificate if rows else None

    async def close(self) -> None:
        """Leave every erasure where it is: its step is repeated by whoever goes on with it."""
        for run in self._runs.values():
            run.cancel()
        for subject, run in self._runs.items():
            await asyncio.to_thread(run.join, ENDED_WITHIN_S)
            if run.status is not ErasureStatus.DONE:
                with suppress(UndertoneError):
                    await asyncio.to_thread(self._resuming().release, subject)
        if self._database is not None:
            self._database.engine.dispose()

    def _go_on(self, person: Person, request: Request) -> None:
        """Take the steps of an erasure that this process holds."""
        resuming = self._resuming()

        async def work() -> None:
            await erase_person(self._settings, person.user_id, request, self._more, self._tell)
            await asyncio.to_thread(self._forget, person)

        self._runs[person.subject] = _Run(work, resuming, person.subject, self._again_s)

    def _kept(self, person: Person) -> bool:
        """Keep who is erased, so that it goes on after a restart; False while another process is at it."""
        resuming = self._resuming()
        with _directory(self._settings) as directory:
            resuming.keep(directory, person)
        return resuming.hold(person.subject)

    def _forget(self, person: Person) -> None:
        """Let nothing lead to the pseudonym: after a rotation no bytes of its row open, in PostgreSQL or a backup."""
        self._resuming().forget(person.subject)
        with _directory(self._settings) as directory:
            directory.rotate_store_key()

    def _left(self) -> list[Resumed]:
        """Erasures that no process was at, and this one holds now."""
        resuming = self._resuming()
        held = [subject for subject in resuming.waiting(self._runs) if resuming.hold(subject)]
        found: list[Resumed] = []
        if held:
            with _directory(self._settings) as directory:
                for subject in held:
                    try:
                        found.append(resuming.resumed(directory, subject))
                    except Transient as error:
                        log.warning("an interrupted erasure does not go on: %s", error)
                        resuming.release(subject)
        return found

    def _resuming(self) -> Resuming:
        with self._opening:
            if self._database is None:
                self._database = KeyDatabase(engine_of(self._settings))
            if self._held is None:
                self._held = Resuming(self._database)
            return self._held

    def _recorded(self, erasure_id: str | None = None) -> tuple[list[Recorded], set[bytes]]:
        """Rows of the journal, and which of them a process is at."""
        if not KeyDirectory.is_made(self._settings):
            return [], set()
        resuming = self._resuming()
        assert self._database is not None  # it is opened by the line before
        subject = None if erasure_id is None else bytes.fromhex(erasure_id)
        return ErasureJournal(self._database).all(subject), resuming.held()

    def _standings(self) -> dict[bytes, Standing]:
        """Of the erasures of this process. Taken before the journal is read: it has each step by then."""
        return {subject: (run.status, run.problem) for subject, run in self._runs.items()}


@contextmanager
def _directory(settings: Settings) -> Iterator[KeyDirectory]:
    directory = KeyDirectory.open(settings)
    try:
        yield directory
    finally:
        directory.close()


def _state(row: Recorded, standing: Standing | None, held: bool) -> ErasureState:
    """One erasure. standing: None for one that no run of this process is at; held: whether another process is."""
    status, problem = standing or (ErasureStatus.RUNNING if held else ErasureStatus.INTERRUPTED, "")
    if row.certificate is not None:
        status, problem = ErasureStatus.DONE, ""
    missing = [step for step in Step if step not in row.steps]
    next_step = None if row.certificate is not None or not missing else missing[0]
    return ErasureState(
        row.subject.hex(),
        status,
        [step for step in Step if step in row.steps],
        next_step,
        row.reason,
        row.ticket,
        row.started_at,
        row.finished_at,
        problem or None,
    )

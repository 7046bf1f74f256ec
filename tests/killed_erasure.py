"""An erasure in a process that is killed, by itself or by a test, forked from one that has loaded everything."""

import asyncio
import os
import signal
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from unittest.mock import patch

from schemas.settings import Settings
from streams.local.privacy.home_place import HomePlace
from streams.notify.person_erased import tell_receivers
from streams.privacy.erasing import erase_person
from streams.privacy.journal import ErasureJournal, Request
from streams.privacy.steps import Facts, Step

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def killed(settings: Settings, user_id: str, request: Request, fatal: Step, *, before: bool) -> int | None:
    """Erase a person in a process that is killed when a step is done; how it ended, as `subprocess` says it.

    before: the step is not recorded yet.
    """
    process = FORKS.Process(target=_erase, args=(settings, user_id, request, fatal, before))
    process.start()
    process.join()
    return process.exitcode


def begun(settings: Settings, user_id: str, request: Request) -> BaseProcess:
    """A process that erases a person, until somebody kills it."""
    process = FORKS.Process(target=_erase, args=(settings, user_id, request, None, False))
    process.start()
    return process


def _erase(settings: Settings, user_id: str, request: Request, fatal: Step | None, before: bool) -> None:
    record = ErasureJournal.record

    def mortal(journal: ErasureJournal, subject: bytes, step: Step, facts: Facts) -> None:
        if before and step is fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        record(journal, subject, step, facts)
        if step is fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(ErasureJournal, "record", mortal):
        tell = partial(tell_receivers, settings)
        asyncio.run(erase_person(settings, user_id, request, [HomePlace(settings.home)], tell))

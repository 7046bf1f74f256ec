"""What every page says about the system itself: which model judges, how late the data is, and what was lost."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import Request
from sqlalchemy import Connection

from schemas.errors import Transient, UnreadableState
from schemas.state_keys import MARK
from streams.api.services import OurServices, Services
from streams.history import operations
from streams.recovery.resubmit import Mark
from streams.web import formats
from streams.web.languages import Language
from streams.web.pages import language_of, zone_of

DEMO = "demo-"
"""How ids of demonstration bundles begin."""
FRESH_S = 3.0
"""The state of the system is read at most this often in one process."""
LATE_S = 120.0
"""Data that is further behind than this is said to be."""
BUNDLES_DAYS = 30
RELEARNED = timedelta(weeks=4)
"""The "several weeks" of the runbook in which changes are found later, after Redis has lost its data."""
BEFORE = timedelta(hours=1)
"""The agents' mark in Redis is made when they first start, about when the first memo is scored."""


@dataclass(frozen=True, slots=True)
class SystemState:
    """The system as the pages of one process know it.

    bundle: that scored last, None without a score; behind_s: of what is shown, None before the history has run;
    store_answers: whether Redis does; store_lost_at: when Redis was found empty although memos had been scored before.
    """

    bundle: str | None = None
    behind_s: float | None = None
    store_answers: bool = True
    store_lost_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One line above a page. kind: `demo`, `late` or `fault`, which its style follows."""

    kind: str
    text: str


class SystemWatch:
    """Reads the state of the system for all pages of a process. clock: seconds."""

    def __init__(self, services: Services, clock: Callable[[], float] = time.monotonic) -> None:
        self._services, self._clock = services, clock
        self._lock, self._until, self._state = asyncio.Lock(), -1.0, SystemState()

    async def state(self) -> SystemState:
        """At most FRESH_S old. Raises Transient while the database does not answer."""
        async with self._lock:
            if self._clock() >= self._until:
                self._state = await self._read()
                self._until = self._clock() + FRESH_S
            return self._state

    async def _read(self) -> SystemState:
        now = datetime.now(UTC)
        bundle, behind_s, first = await self._services.database.read(_stored, now)
        try:
            mark = Mark.of((await self._services.store.read([MARK.key()])).get(MARK.key()))
        except Transient:
            return SystemState(bundle, behind_s, store_answers=False)
        except UnreadableState:
            mark = None
        return SystemState(bundle, behind_s, store_lost_at=lost_at(mark, first))


def _stored(connection: Connection, now: datetime) -> tuple[str | None, float | None, datetime | None]:
    """Bundle that scored last, seconds that the history is behind, and when the first memo was scored."""
    bundles = operations.bundles_in_use(connection, now - timedelta(days=BUNDLES_DAYS))
    return next(iter(bundles), None), operations.behind_s(connection, now), operations.first_minute(connection)


def lost_at(mark: Mark | None, first_scored: datetime | None) -> datetime | None:
    """When Redis was found empty although memos had been scored; None when it has its data."""
    if mark is None or first_scored is None:
        return None
    made = datetime.fromtimestamp(mark.since, UTC)
    return made if made > first_scored + BEFORE else None


async def load_notices(request: Request, services: OurServices) -> None:
    """Give the pages of this request their notices; a dependency of FastAPI."""
    application = request.app.state
    if not hasattr(application, "system_watch"):
        application.system_watch = SystemWatch(services)
    try:
        state: SystemState = await application.system_watch.state()
    except Transient:
        return  # a page that needs the database says so itself
    request.state.frame = notices(state, datetime.now(UTC), language_of(request), zone_of(request))


def notices(state: SystemState, now: datetime, language: Language, zone: ZoneInfo) -> list[Notice]:
    """What there is to say."""
    said = []
    if state.bundle is not None and state.bundle.startswith(DEMO):
        words = language.gettext("Demonstration model %(bundle)s: what it scores says nothing about any person.")
        said.append(Notice("demo", words % {"bundle": state.bundle}))
    if state.behind_s is not None and state.behind_s > LATE_S:
        behind = formats.duration(timedelta(seconds=state.behind_s), language.locale)
        words = language.gettext("What you see is %(behind)s behind: newer memos and alerts are not shown yet.")
        said.append(Notice("late", words % {"behind": behind}))
    if not state.store_answers:
        text = language.gettext("Redis does not answer: no memo is scored and no alert is raised until it does.")
        said.append(Notice("fault", text))
    if state.store_lost_at is not None and now < state.store_lost_at + RELEARNED:
        words = language.gettext(
            "Redis lost its data on %(day)s: everybody's own normal is learned again, so silence says less until "
            "%(until)s."
        )
        days = (state.store_lost_at, state.store_lost_at + RELEARNED)
        day, until = (formats.day(moment, zone, language.locale) for moment in days)
        said.append(Notice("late", words % {"day": day, "until": until}))
    return said

"""The page of the system: throughput, lag, dead letters, budget, precision and the bundle in force."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection

from schemas.errors import UndertoneError
from schemas.event_enums import AuditAction
from streams.access.audit import record_look
from streams.access.permissions import require
from streams.access.roles import Permission
from streams.access.viewer import Viewer
from streams.api.routes.viewing import SystemViewer
from streams.api.services import OurServices, Services
from streams.history import operations
from streams.history.caseload import CaseCounts, caseload_counts
from streams.recovery.redrive import DeadLetterFilter
from streams.web import formats
from streams.web.pages import language_of, page
from streams.web.system.budget import WEEK, WEEKS, Budget, budget
from streams.web.system.bundle_card import bundle_card
from streams.web.system.precision import FEWEST, PrecisionRow, precision_rows
from streams.web.system.redriving import preview, redrive
from streams.web.system.stage_lag import StageLags
from streams.web.system.throughput import SPANS, Throughput, throughput

router = APIRouter(include_in_schema=False)
DEAD_LETTERS_FOR = timedelta(days=30)
"""As long as the topic keeps them, and they can be redriven."""
PRECISION_FOR = timedelta(days=365)
BUNDLES_FOR = timedelta(days=7)
Redriver: TypeAlias = Annotated[Viewer, Depends(require(Permission.REDRIVE))]
Name: TypeAlias = Annotated[str, Query(min_length=1, max_length=128, pattern=r"^[\w:.\-]+$")]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Dead letters of one stage and reason."""

    stage: str
    reason: str
    number: int
    last_hour: datetime


@dataclass(frozen=True, slots=True)
class SystemReport:
    """What the database says. history: the oldest position of history, in seconds behind; None before it has run."""

    counts: CaseCounts
    throughput: Sequence[Throughput]
    dead_letters: Sequence[DeadLetters]
    budget: Budget
    precision: Sequence[PrecisionRow]
    bundles: dict[str, datetime]
    history_behind_s: float | None


@router.get("/system")
async def system_page(
    request: Request, services: OurServices, asking: SystemViewer, redriven: Annotated[int | None, Query(ge=0)] = None
) -> HTMLResponse:
    """Counts without persons."""
    now = datetime.now(UTC)
    found, lags = await asyncio.gather(
        services.database.read(_report, services, asking, now), _stage_lags(request, services).lags()
    )
    card = await asyncio.to_thread(bundle_card, services.settings.bundle)
    locale = language_of(request).locale
    return page(
        request,
        "system.html",
        report=found,
        lags=lags,
        card=card,
        fewest=FEWEST,
        may_redrive=asking.may(Permission.REDRIVE),
        redriven=redriven,
        seconds=lambda seconds: formats.duration(timedelta(seconds=seconds), locale),
    )


@router.get("/system/redrive")
async def confirm_redrive(
    request: Request, services: OurServices, asking: Redriver, stage: Name, reason: Name
) -> HTMLResponse:
    """What would be redriven, before it is. Raises HTTPException 503 while Kafka or Redis does not answer."""
    try:
        found = await preview(
            services.settings, services.codec, services.store, DeadLetterFilter(stage=stage, reason=reason)
        )
    except (UndertoneError, KafkaError) as error:
        raise HTTPException(503, _UNANSWERED) from error
    return page(request, "redrive.html", stage=stage, reason=reason, found=found)


@router.post("/system/redrive")
async def redrive_letters(
    request: Request,
    services: OurServices,
    asking: Redriver,
    stage: Annotated[str, Form(max_length=128)],
    reason: Annotated[str, Form(max_length=128)],
) -> RedirectResponse:
    """Redrive once, then show the system again. A repeated post redrives nothing: Redis counts every redrive."""
    await record_look(request, AuditAction.ACTED, "dead-letters")
    wanted = DeadLetterFilter(stage=stage, reason=reason)
    try:
        done = await redrive(services.settings, services.codec, services.store, services.producer, wanted)
    except (UndertoneError, KafkaError) as error:
        raise HTTPException(503, _UNANSWERED) from error
    return RedirectResponse(f"/system?redriven={done.records}#dead-letters", status_code=303)


_UNANSWERED = "Kafka or Redis does not answer, so nothing was redriven: try again when the lag is known again."


def _report(connection: Connection, services: Services, asking: Viewer, now: datetime) -> SystemReport:
    cohorts = asking.cohorts
    counts = caseload_counts(connection, cohorts)
    raised = operations.alerts_raised(connection, now - WEEKS * WEEK, cohorts)
    return SystemReport(
        counts=counts,
        throughput=throughput(operations.memos_per_minute(connection, now - SPANS[-1]), now),
        dead_letters=_by_reason(operations.dead_letters(connection, now - DEAD_LETTERS_FOR)),
        budget=budget(services.alerts_per_user_year, counts.people, raised, now),
        precision=precision_rows(operations.precision(connection, now - PRECISION_FOR, cohorts)),
        bundles=operations.bundles_in_use(connection, now - BUNDLES_FOR),
        history_behind_s=operations.behind_s(connection, now),
    )


def _by_reason(counts: Sequence[operations.DeadLetterCount]) -> list[DeadLetters]:
    """The most frequent first. counts: the newest hour first."""
    numbers, newest = Counter[tuple[str, str]](), dict[tuple[str, str], datetime]()
    for count in counts:
        numbers[count.stage, count.reason] += count.letters
        newest.setdefault((count.stage, count.reason), count.hour)
    return [DeadLetters(*key, number, newest[key]) for key, number in numbers.most_common()]


def _stage_lags(request: Request, services: Services) -> StageLags:
    """Those of this process: they remember earlier looks."""
    state = request.app.state
    if not hasattr(state, "stage_lags"):
        state.stage_lags = StageLags(services.settings)
    found: StageLags = state.stage_lags
    return found

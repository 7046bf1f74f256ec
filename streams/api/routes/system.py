"""The state of the system: counts without persons, and the age of what is shown."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection

from schemas.bundle_manifest import bundle_id
from streams.api.problems import documented
from streams.api.routes.viewing import SystemViewer
from streams.api.services import OurServices
from streams.history import operations
from streams.history.caseload import CaseCounts, caseload_counts
from streams.history.operations import AlertCount, DeadLetterCount, MinuteCount, ReadPosition
from workers.service.health import HEALTH

router = APIRouter(prefix="/api/v1/system", tags=["system"], responses=documented(401, 403, 422, 429, 500, 503))


@dataclass(frozen=True, slots=True)
class AlertPrecision:
    """What people found of the alerts of one cohort and bundle. precision: null until one has an outcome."""

    cohort: str
    bundle_id: str
    raised: int
    outcomes: dict[str, int]
    precision: float | None


@dataclass(frozen=True, slots=True)
class SystemState:
    """Of the last hours and weeks.

    behind_s: age of what is shown, null before the history has run; lacking: what this process lacks, and why; counts:
    of the people that you may see; alerts_per_user_year: the false-alarm budget.
    """

    version: str
    bundle_id: str | None
    alerts_per_user_year: float
    behind_s: float | None
    lacking: dict[str, str]
    counts: CaseCounts
    memos_per_minute: list[MinuteCount]
    dead_letters: list[DeadLetterCount]
    alerts_raised: list[AlertCount]
    precision: list[AlertPrecision]
    positions: list[ReadPosition]


@router.get("")
async def get_system(
    request: Request,
    services: OurServices,
    asking: SystemViewer,
    hours: Annotated[int, Query(ge=1, le=168, description="Of memos and dead letters.")] = 1,
    weeks: Annotated[int, Query(ge=1, le=104, description="Of alerts and outcomes.")] = 12,
) -> SystemState:
    """The state of the system."""
    now = datetime.now(UTC)

    def state(connection: Connection) -> SystemState:
        recently, lately = now - timedelta(hours=hours), now - timedelta(weeks=weeks)
        found = operations.precision(connection, lately, asking.cohorts)
        return SystemState(
            version=request.app.version,
            bundle_id=bundle_id(services.settings.bundle),
            alerts_per_user_year=services.alerts_per_user_year,
            behind_s=operations.behind_s(connection, now),
            lacking=HEALTH.lacking(),
            counts=caseload_counts(connection, asking.cohorts),
            memos_per_minute=operations.memos_per_minute(connection, recently),
            dead_letters=operations.dead_letters(connection, recently),
            alerts_raised=operations.alerts_raised(connection, lately, asking.cohorts),
            precision=[
                AlertPrecision(
                    each.cohort,
                    each.bundle_id,
                    each.raised,
                    {outcome.value: number for outcome, number in each.outcomes.items()},
                    each.precision,
                )
                for each in found
            ],
            positions=operations.positions(connection, now),
        )

    return await services.database.read(state)

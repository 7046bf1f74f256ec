"""The page of the system: counts from stored rows, and nothing about anybody."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.event_enums import AuditAction, CareActionKind, CareOutcome
from schemas.events import RiskAlert
from streams.access.roles import StaffRole
from streams.access.viewer import Viewer
from streams.history.writes.batch import Kept
from streams.web.system.page import router
from streams.web.system.stage_lag import Health, StageLag
from tests.history import NOW, action, alert, letter, score
from tests.unit.streams.web.stored import Pages, pages

AGE = datetime.now(UTC) - NOW
USERS = [f"north-{number}" for number in range(12)]


class Lags:
    """Lags as if the broker had said them; None while it does not answer."""

    def __init__(self, *found: StageLag) -> None:
        self.found = list(found) or None

    async def lags(self) -> list[StageLag] | None:
        return self.found


def raised(user: str) -> RiskAlert:
    """An alert of yesterday by the clock of this test."""
    return replace(alert(user, 1.0), at=datetime.now(UTC) - timedelta(days=1))


def records(answered: int) -> list[Kept]:
    outcomes = [CareOutcome.FALSE_ALARM, CareOutcome.CONTACTED]
    acks = [
        action(user, CareActionKind.ACKNOWLEDGED, dedup_key=f"episode {user}", outcome=outcomes[index % 2])
        for index, user in enumerate(USERS[:answered])
    ]
    letters = [replace(letter(f"l{i}"), at=datetime.now(UTC) - timedelta(hours=2)) for i in range(3)]
    return [*(score(user, 1.0) for user in USERS), *map(raised, USERS), *acks, *letters]


async def seen(shown: Pages, lags: Lags, language: str = "en") -> str:
    shown.application.state.stage_lags = lags
    answer = await shown.client.get("/system", headers={"accept-language": language})
    assert answer.status_code == 200
    return answer.text


async def test_it_counts_and_names_nobody(tmp_path: Path) -> None:
    lag = StageLag("acoustic", 7, 90.0, 12.5, Health.STOPPED)
    async with pages(tmp_path, records(12), router) as shown:
        html = await seen(shown, Lags(lag))
        assert "audio:undecodable" in html
        assert "stopped or stuck" in html
        assert "/system/redrive?stage=acoustic&amp;reason=audio%3Aundecodable" in html
        assert "12 alerts were raised" in html
        assert "50%" in html
        assert not [user for user in USERS if user in html]
        assert shown.trail.events == []


async def test_below_ten_answers_no_precision_is_said(tmp_path: Path) -> None:
    async with pages(tmp_path, records(9), router) as shown:
        html = await seen(shown, Lags())
        assert "too few to say" in html
        assert "Kafka does not answer" in html


async def test_who_may_not_redrive_sees_no_link(tmp_path: Path) -> None:
    auditor = Viewer("au", frozenset({StaffRole.AUDITOR}), None)
    async with pages(tmp_path, records(0), router, viewer=auditor) as shown:
        assert "/system/redrive" not in await seen(shown, Lags())
        assert (await shown.client.get("/system/redrive?stage=acoustic&reason=x")).status_code == 403
        assert (await shown.client.post("/system/redrive", data={"stage": "a", "reason": "b"})).status_code == 403


async def test_an_empty_system_says_so_in_german(tmp_path: Path) -> None:
    async with pages(tmp_path, [], router) as shown:
        html = await seen(shown, Lags(), "de")
        assert "Keine in dreißig Tagen" in html
        assert "die Geschichte ist noch nicht gelaufen" in html


async def test_redriving_is_recorded_before_it_is_tried(tmp_path: Path) -> None:
    operator = Viewer("op", frozenset({StaffRole.OPERATOR}), None)
    async with pages(tmp_path, [], router, viewer=operator) as shown:
        refused = await shown.client.post("/system/redrive", data={"stage": "x" * 200, "reason": "b"})
        assert refused.status_code == 422
        assert shown.trail.events == []
        assert AuditAction.ACTED

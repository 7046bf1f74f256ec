"""The page of one person: from stored rows to HTML, CSV and marks, with one audit event for each look."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from schemas.event_enums import AuditAction
from schemas.events import AlertEvidence, AlertState
from streams.access.roles import StaffRole
from streams.access.viewer import Viewer
from streams.history.care import marks
from streams.history.writes.batch import Kept
from streams.web.person.page import router
from tests.history import alert, score
from tests.unit.streams.web.stored import pages

USER = "north-anna"
HOSTILE = '<img src=x onerror="alert(1)">'


def memos(days: int = 40) -> list[Kept]:
    return [score(USER, days_ago, 0.3 + 0.01 * (days_ago % 5)) for days_ago in range(days)]


def clinician(*cohorts: str) -> Viewer:
    return Viewer("dr-a", frozenset({StaffRole.CLINICIAN}), cohorts)


def data_of(html: str, name: str) -> str:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_page_says_who_why_and_how_well_followed(tmp_path: Path) -> None:
    alerts = [alert(USER, 3.0), alert(USER, 2.0, AlertState.ESCALATED)]
    records: Sequence[Kept] = [*memos(), score(USER, 40.5, None), *alerts]
    async with pages(tmp_path, records, router) as shown:
        answer = await shown.client.get(f"/people/{USER}?days=all")
        assert answer.status_code == 200
        html = answer.text
        assert "speaks with longer pauses (escalated)" in html
        assert "/episodes/episode%20north-anna" in html
        assert "longer pauses than usual" in html
        assert "41 memos as a table" in html
        assert "not judged: the recording cannot be used: too noisy" in html
        assert json.loads(data_of(html, "chart-score")).keys() == {"item", "dark"}
        assert "inverted_triangle" in data_of(html, "chart-score")
        assert [(e.action, e.resource, e.user_ids) for e in shown.trail.events] == [
            (AuditAction.VIEWED, "person", (USER,))
        ]


async def test_a_german_page_tells_of_episodes_in_german(tmp_path: Path) -> None:
    evidence = (AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.5),)
    records: Sequence[Kept] = [*memos(), replace(alert(USER, 3.0), evidence=evidence)]
    async with pages(tmp_path, records, router) as shown:
        html = (await shown.client.get(f"/people/{USER}", headers={"accept-language": "de"})).text
        assert html.count("0,41, sonst 0,22") == 2
        assert "speaks with" not in html


async def test_the_table_is_paged_and_a_memo_can_be_explained(tmp_path: Path) -> None:
    async with pages(tmp_path, memos(60), router) as shown:
        html = (await shown.client.get(f"/people/{USER}?days=all&page=2&memo=north-anna/7")).text
        assert "page 2 of 2" in html
        assert "Explain the latest memo" in html
        assert (await shown.client.get(f"/people/{USER}?days=5")).status_code == 422


async def test_someone_of_another_cohort_is_as_unknown_as_somebody_who_is_not_there(tmp_path: Path) -> None:
    async with pages(tmp_path, memos(3), router, viewer=clinician("south")) as shown:
        hidden = await shown.client.get(f"/people/{USER}")
        missing = await shown.client.get("/people/north-nobody")
        assert hidden.status_code == missing.status_code == 404
        assert "north" not in hidden.text.replace("north-anna", "")
        assert {e.action for e in shown.trail.events} == {AuditAction.REFUSED}


async def test_scores_are_exported_as_csv_and_the_export_is_recorded(tmp_path: Path) -> None:
    async with pages(tmp_path, memos(12), router, viewer=clinician("north")) as shown:
        answer = await shown.client.get(f"/people/{USER}/scores.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="scores.csv"'
        rows = list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig"))))
        assert len(rows) == 12
        assert rows[-1]["pause_share_usual"] == "0.22"
        assert [e.action for e in shown.trail.events] == [AuditAction.EXPORTED]


async def test_a_mark_is_added_once_shown_and_taken_back(tmp_path: Path) -> None:
    form = {"mark": "illness", "since": "2026-02-20", "until": "2026-02-22", "note": HOSTILE, "excluded": "yes"}
    async with pages(tmp_path, memos(12), router, viewer=clinician("north")) as shown:
        for _ in range(2):
            answer = await shown.client.post(f"/people/{USER}/marks", data={**form, "action_id": "a" * 32})
            assert (answer.status_code, answer.headers["location"]) == (303, f"/people/{USER}#context")
        (mark,) = await shown.database.read(marks, USER)
        assert (mark.kind, mark.excluded, mark.actor) == ("illness", True, "dr-a")
        html = (await shown.client.get(f"/people/{USER}?days=all")).text
        assert "20 Feb 2026 – 22 Feb 2026" in re.sub("<.*?>", "", html)
        assert r"20 Feb 2026 \u2013 22 Feb 2026" in data_of(html, "chart-score")
        assert HOSTILE not in html
        assert "&lt;img src=x" in html
        assert "left out of the own normal" in html
        gone = {"mark_id": mark.mark_id, "action_id": "b" * 32}
        assert (await shown.client.post(f"/people/{USER}/marks/remove", data=gone)).status_code == 303
        assert await shown.database.read(marks, USER) == []
        acted = [e.action for e in shown.trail.events]
        assert acted == [AuditAction.ACTED, AuditAction.ACTED, AuditAction.VIEWED, AuditAction.ACTED]


async def test_a_form_with_an_error_comes_back_filled_in_and_says_what_to_do(tmp_path: Path) -> None:
    later = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    form = {"mark": "travel", "since": later, "note": "to see family", "action_id": "a" * 32}
    async with pages(tmp_path, memos(3), router) as shown:
        answer = await shown.client.post(f"/people/{USER}/marks", data=form)
        assert answer.status_code == 422
        assert "The first day is in the future" in answer.text
        assert 'value="to see family"' in answer.text
        assert f'value="{later}"' in answer.text
        removed = await shown.client.post(f"/people/{USER}/marks/remove", data={})
        assert removed.status_code == 422
        assert await shown.database.read(marks, USER) == []


async def test_who_may_not_act_or_see_persons_gets_neither_form_nor_page(tmp_path: Path) -> None:
    operator = Viewer("op", frozenset({StaffRole.OPERATOR}), None)
    async with pages(tmp_path, memos(3), router, viewer=operator) as shown:
        for path in (f"/people/{USER}", f"/people/{USER}/scores.csv"):
            assert (await shown.client.get(path)).status_code == 403
        assert (await shown.client.post(f"/people/{USER}/marks", data={})).status_code == 403
        assert shown.trail.events == []


async def test_a_person_with_an_open_episode_and_no_score_has_a_page_that_says_what_comes(tmp_path: Path) -> None:
    async with pages(tmp_path, [alert(USER, 1.0)], router) as shown:
        html = (await shown.client.get(f"/people/{USER}")).text
        assert "No memo of this person has been scored yet" in html
        assert "data-chart" not in html


@pytest.mark.parametrize("language", ["en", "de"])
async def test_the_page_is_whole_in_both_languages(tmp_path: Path, language: str) -> None:
    async with pages(tmp_path, memos(30), router) as shown:
        html = (await shown.client.get(f"/people/{USER}", headers={"accept-language": language})).text
        assert f'<html lang="{language}">' in html
        assert ("Werte gegen das eigene Normal" in html) == (language == "de")
        assert "style=" not in html
        assert "<script>" not in html

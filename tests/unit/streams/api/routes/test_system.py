"""The state of the system over HTTP."""

from pathlib import Path

from tests.dashboards import dashboard, people


async def test_it_counts_people_memos_and_alerts_and_names_nobody(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as here:
        empty = (await here.client.get("/api/v1/system")).json()
        assert (empty["counts"]["people"], empty["behind_s"]) == (0, None)
        await here.store(*people("north-1", "south-1"))
        answer = await here.client.get("/api/v1/system", params={"hours": 24})
        state = answer.json()
        assert (state["counts"]["people"], state["counts"]["open_episodes"]) == (2, 1)
        assert sum(minute["memos"] for minute in state["memos_per_minute"]) == 2
        assert [(each["cohort"], each["raised"], each["precision"]) for each in state["precision"]] == [
            ("north", 1, None)
        ]
        assert {each["topic"] for each in state["positions"]} == {"risk.scored", "risk.alerts"}
        assert "north-1" not in answer.text
        assert (await here.client.get("/api/v1/system", params={"hours": 0})).status_code == 422

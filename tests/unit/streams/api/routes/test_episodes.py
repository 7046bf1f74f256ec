"""One episode over HTTP."""

from pathlib import Path

from schemas import topics
from tests.dashboards import dashboard, people


async def test_an_episode_has_its_steps_and_one_look_is_recorded(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as here:
        await here.store(*people("north-1"))
        episode = (await here.client.get("/api/v1/episodes/episode north-1")).json()
        assert (episode["user_id"], episode["severity"], len(episode["steps"])) == ("north-1", "warning", 1)
        (look,) = await here.records(topics.AUDIT)
        assert (look.resource, look.user_ids) == ("episode", ("north-1",))

"""Mutes and marks that Redis has lost are in force again, and nothing that was over comes back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas import topics
from schemas.codec import Codec
from schemas.event_enums import CareActionKind
from schemas.events import CareAction
from schemas.settings import Settings
from schemas.state_keys import EXCLUSIONS, MUTES
from streams.context import exclusions
from streams.drift import mutes
from streams.local.embedded import EmbeddedKafka
from streams.recovery.care_actions import restore_actions
from workers.kafka.clients import make_producer
from workers.state.store import MemoryStore

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def action(user: str, kind: CareActionKind, days_ago: float, days: float | None = None, mark: str = "") -> CareAction:
    at = NOW - days_ago * DAY
    until = None if days is None else at + days * DAY
    return CareAction(
        f"{kind} {user} {days_ago}", user, at, "dr-a", kind, until=until, mark_id=mark or None, excluded=bool(mark)
    )


ACTIONS = (
    action("muted", CareActionKind.MUTED, 3.0, 9.0),
    action("over", CareActionKind.MUTED, 9.0, 3.0),
    action("ended", CareActionKind.MUTED, 5.0, 30.0),
    action("ended", CareActionKind.UNMUTED, 4.0),
    action("again", CareActionKind.MUTED, 8.0, 30.0),
    action("again", CareActionKind.UNMUTED, 7.0),
    action("again", CareActionKind.MUTED, 6.0),
    action("ill", CareActionKind.MARKED, 2.0, 5.0, "a-mark"),
    action("well", CareActionKind.MARKED, 3.0, 5.0, "another"),
    action("well", CareActionKind.UNMARKED, 1.0, None, "another"),
    action("muted", CareActionKind.NOTED, 1.0),
)


async def test_after_a_loss_what_was_in_force_is_so_again(tmp_path: Path) -> None:
    codec, store = Codec(), MemoryStore()
    with EmbeddedKafka([topics.CARE.name]) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap, home=tmp_path)
        producer = make_producer(settings)
        async with producer:
            # The newer ones first and anywhere: a user's actions may be on two partitions.
            for number, each in enumerate(reversed(ACTIONS)):
                at = {"partition": number % 4}
                await producer.send_and_wait(topics.CARE.name, codec.encode(each), each.user_id.encode(), **at)
            await producer.send_and_wait(topics.CARE.name, b"no record", b"muted")
        for _ in range(2):
            assert await restore_actions(settings, store, codec, NOW) == len(ACTIONS) - 1
            stored = await store.read([MUTES.key(), EXCLUSIONS.key("ill"), EXCLUSIONS.key("well")])
            listed = mutes.load(stored[MUTES.key()])
            users = {each.user_id for each in ACTIONS}
            assert {user for user in users if mutes.muted_by(listed, user, NOW)} == {"muted", "again"}
            assert not [mute for mute in listed if mute.name == "over"]
            for user, out in (("ill", True), ("well", False)):
                assert exclusions.left_out(exclusions.load(stored[EXCLUSIONS.key(user)]), NOW) == out

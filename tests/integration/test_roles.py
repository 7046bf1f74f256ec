"""The production roles as images run them, beside a Kafka and a Redis that let in only whom they know.

Processes of their own, each with its own user, a way of its own to prove who it is, and exactly the rights of
deploy/kafka/acls.md; JSON logs, spans, metrics and health are read as a platform reads them.
"""

import asyncio
import hmac
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families

from deploy.kafka.secured import SecuredKafka
from schemas import topics
from schemas.codec import Codec
from schemas.events import Band, RiskScored
from schemas.headers import headers_of
from schemas.metrics import METRICS, PREFIX
from schemas.settings import Settings
from tests.guarded import GuardedRedis
from tests.integration.role_processes import PATIENCE_S, ROLES, Roles, proofs
from tests.issuing import issuing
from tests.json_output import validated
from tests.loaded import FOREIGN, Loaded
from tests.otlp import Received, collecting
from tests.receivers import receiving
from tests.servers import Broker
from workers.audio.memo import SAMPLING_RATE
from workers.kafka.clients import make_producer, make_reader
from workers.simulation.cohort import random_voice
from workers.simulation.source_filter import speak
from workers.wav2vec2.engines.choice import chosen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MEMOS = 3
USER = "user-1"
LOG_KEY = "the key of the hashes"
WEBHOOK_SECRET = "whsec_c2VjcmV0IG9mIGEgd2ViaG9vayB0aGF0IGlzIGxvbmc="
RED_WITHIN_S = 30.0
OF_ROLES_THAT_ARE_NOT_HERE = {
    *("http_requests_total", "http_request_duration_seconds", "http_requests_refused_total", "live_subscribers"),
    *(
        "live_events_total",
        "live_cut_total",
        "uploads_total",
        "upload_bytes_total",
        "audit_events_total",
        "sign_ins_total",
    ),
    "bridge_skipped_total",
}
"""Of the dashboard, and of the bridge to FHIR."""
OF_SEALING = {"records_erased_total", "key_directory_seconds", "keys_overdue_months", "key_requests_total"}
"""Of what is switched off here."""
ONLY_IN_TROUBLE = {
    "state_unreadable_total",
    "retries_total",
    "records_repeated_total",
    "joins_timed_out_total",
    "alerts_undelivered_total",
    "scores_indeterminate_total",
    "memos_unread_total",
}


@pytest.fixture
def roles(guarded: SecuredKafka, guarded_redis: GuardedRedis, tmp_path: Path) -> Iterator[Roles]:
    audio, secrets = tmp_path / "audio", tmp_path / "secrets"
    for folder in (audio, secrets):
        folder.mkdir()
    for number in range(MEMOS):
        rng = np.random.default_rng(number)
        soundfile.write(audio / f"memo-{number}.wav", speak(random_voice(rng), 5.0, rng)[0], SAMPLING_RATE)
    (audio / "broken.wav").write_bytes(b"this is no audio")
    common = {
        **os.environ,
        **guarded_redis.environment(),
        "UNDERTONE_AUDIO_PREFIXES": f"file://{audio}/",
        "UNDERTONE_HOME": str(tmp_path / "home"),
        "UNDERTONE_PARTITIONS": "2",
        "UNDERTONE_ACOUSTIC_PROCESSES": "1",
        "UNDERTONE_LEVEL_OF": "1",
        "UNDERTONE_LEVEL_HIGH": "1",
        "UNDERTONE_LOG_FORMAT": "json",
        "UNDERTONE_LOG_KEY": LOG_KEY,
        "COLUMNS": "200",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    proof = proofs(guarded, secrets)
    with ExitStack() as exits:
        collector = exits.enter_context(collecting())
        url = exits.enter_context(issuing(guarded.issuer, {"alerts": "secret of a client"}))
        proof["alerts"] |= {"UNDERTONE_KAFKA_TOKEN_URL": url}
        subscriber = exits.enter_context(receiving())
        proof["bridge"] |= {"UNDERTONE_WEBHOOK_URL": subscriber.url, "UNDERTONE_WEBHOOK_SECRET": WEBHOOK_SECRET}
        common["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        environments = {role: {**common, **given} for role, given in proof.items()}
        roles = Roles(environments, tmp_path, collector, subscriber)
        try:
            yield roles
        finally:
            for process in roles.processes.values():
                process.kill()
                process.wait()


def on_topic(settings: Settings, topic: topics.Topic) -> list[Any]:
    """Records of a topic with their headers, as the administrator reads them."""

    async def read() -> list[Any]:
        async with make_reader(settings, topic.name) as reader:
            ends = await reader.end_offsets(list(reader.assignment()))
            found: list[Any] = []
            while len(found) < sum(ends.values()):
                for records in (await reader.getmany(timeout_ms=200)).values():
                    found += records
            return found

    return asyncio.run(read())


def scores(settings: Settings) -> list[RiskScored]:
    return [Codec().decode(record.value, RiskScored) for record in on_topic(settings, topics.SCORED)]


def test_production_roles_do_their_work_with_their_own_rights_and_tell_the_platform(
    roles: Roles, guarded: SecuredKafka, tmp_path: Path
) -> None:
    Broker(guarded.server.bootstrap, real=True).empty()  # other tests have used it
    created = roles.run("topics", "topics", "create").splitlines()
    assert created == [f"{topic.name}: created" for topic in topics.TOPICS]
    assert "memos.uploaded" in roles.run("topics", "topics", "describe")
    settings = Settings.load(kafka_bootstrap=guarded.server.bootstrap, redis_url=None)
    with ExitStack() as exits:
        roles.start(exits)
        roles.run("submit", "submit", str(tmp_path / "audio"), "--user", USER, "--json")
        roles.wait_until(lambda: len(scores(settings)) == MEMOS)
        assert {score.user_id for score in scores(settings)} == {USER}
        roles.wait_until(lambda: all(roles.asked(role, "/readyz")[0] == 200 for role in ROLES))
        check_metrics(roles)
        check_spans(roles, settings)
        check_alert_of_a_high_score(roles, settings)
        check_dead_letter(roles)
        check_views(roles)
        check_stuck_worker(roles, tmp_path)
        check_every_metric(roles)
        check_killed_worker(roles)
        check_logs(roles, settings, tmp_path)
        began = time.monotonic()
        for process in roles.processes.values():
            process.terminate()
        assert {process.wait(30) for process in roles.processes.values()} == {0}, roles.told()
        assert time.monotonic() - began < 15
        check_loaded(roles)


def check_metrics(roles: Roles) -> None:
    for role in ("acoustic", "embedding"):
        roles.wait_until(lambda role=role: roles.lag(role) == {"records": 0, "seconds": 0})  # type: ignore[misc]
        told = roles.metrics(role)
        assert told[f"{PREFIX}records_in_total {role}"] == MEMOS + 1
        assert told[f"{PREFIX}records_failed_total {role}"] == 1
        assert told[f"{PREFIX}audio_seconds_total {role}"] == pytest.approx(5.0 * MEMOS, abs=MEMOS)
        assert told[f"{PREFIX}upload_latency_seconds_count {role}"] == MEMOS
    roles.wait_until(lambda: roles.metrics("agents").get(f"{PREFIX}records_in_total drift") == MEMOS)
    roles.wait_until(lambda: roles.lag("fusion") == roles.lag("drift") == {"records": 0, "seconds": 0})
    agents = roles.metrics("agents")
    assert agents[f"{PREFIX}build_info"] == 1
    assert agents[f"{PREFIX}records_out_total fusion"] == MEMOS
    assert agents[f"{PREFIX}upload_latency_seconds_count drift"] == MEMOS
    assert agents[f"{PREFIX}partitions_assigned fusion"] == 2
    assert agents[f"{PREFIX}bundle_info"] == 1
    assert agents[f"{PREFIX}redis_latency_seconds_count"] > 0
    names = {name.split(" ")[0].removesuffix("_total") for name in agents if name.startswith(PREFIX)}
    known = {metric.name.removesuffix("_total") for metric in METRICS}
    assert {next((k for k in known if name.startswith(k)), None) for name in names} <= known


def check_spans(roles: Roles, settings: Settings) -> None:
    """Every memo is one trace: submitted, extracted twice, joined; and headers and spans tell the same."""

    names = {"submit memos.uploaded", "acoustic memos.features", "embedding memos.features", "fusion risk.scored"}

    def scored() -> list[Received]:
        return [span for span in roles.collector.spans if span.name == "fusion risk.scored"]

    def whole() -> bool:  # each role sends its spans when it sees fit
        told = Counter(span.name for span in roles.collector.spans)
        return all(told[name] >= MEMOS for name in names)

    roles.wait_until(whole)
    headers = {dict(record.headers)["traceparent"].decode() for record in on_topic(settings, topics.SCORED)}
    assert headers == {f"00-{span.trace}-{span.id}-01" for span in scored()}
    by_id = {span.id: span for span in roles.collector.spans}
    for span in scored():
        trace = [other for other in roles.collector.spans if other.trace == span.trace]
        assert {other.name for other in trace} == names
        upload = by_id[by_id[span.parent].parent]
        assert (upload.service, upload.name, upload.parent) == ("undertone-submit", "submit memos.uploaded", "")
        assert span.service == "undertone-agents"
        assert all(0 <= other.took_s < PATIENCE_S for other in trace)
    told = " ".join(" ".join(span.attributes) for span in roles.collector.spans)
    assert not [secret for secret in secrets_of(settings) if secret in told]


def check_alert_of_a_high_score(roles: Roles, settings: Settings) -> None:
    """The trace goes on to the alert, which a subscriber reads with a token and nothing but the right to read."""
    record = on_topic(settings, topics.SCORED)[0]
    score = Codec().decode(record.value, RiskScored)
    high = replace(score, score_id="high", memo_id="high", probability=0.99, band=Band.HIGH, reasons=())

    async def publish() -> None:
        async with make_producer(settings) as producer:
            headers = headers_of(high, "fusion", dict(record.headers))
            await producer.send_and_wait(topics.SCORED.name, Codec().encode(high), USER.encode(), headers=headers)

    asyncio.run(publish())
    roles.wait_until(lambda: on_topic(settings, topics.ALERTS))
    (alert,) = validated("alerts", roles.run("alerts", "alerts", "--once", "--json"))
    assert (alert["user_id"], alert["kind"], alert["state"]) == (USER, "level", "raised")
    (raised,) = on_topic(settings, topics.ALERTS)
    upload = dict(record.headers)["traceparent"].split(b"-")[1]
    assert dict(raised.headers)["traceparent"].split(b"-")[1] == upload
    roles.wait_until(lambda: roles.subscriber.requests)
    assert roles.subscriber.requests[0].json["alert_id"] == alert["alert_id"]
    roles.wait_until(lambda: "drift risk.alerts" in {span.name for span in roles.collector.spans})


def check_dead_letter(roles: Roles) -> None:
    """Who mends may list what failed and send it back; it fails again."""
    (letter,) = (json.loads(line) for line in roles.run("dead-letters", "dead-letters", "list", "--json").splitlines())
    assert (letter["stage"], letter["redriven"]) == ("acoustic", 0)
    assert roles.run("dead-letters", "dead-letters", "redrive").startswith("1 records sent back")
    roles.wait_until(lambda: roles.metrics("acoustic")[f"{PREFIX}records_failed_total acoustic"] == 2)


def check_views(roles: Roles) -> None:
    """Who looks reads topics and state, and may write neither."""
    shown = [json.loads(line) for line in roles.run("views", "scores", "--user", USER, "--json").splitlines()]
    (user,) = map(json.loads, roles.run("views", "user", USER, "--json").splitlines())
    assert {score["memo_id"] for score in shown} == {score["memo_id"] for score in user["scores"]}
    assert len(shown) == MEMOS + 1
    assert [letter["reason"] for letter in user["dead_letters"]] == ["audio:undecodable"] * 2
    assert user["drift"]["episodes"][0]["kind"] == "level"


def check_stuck_worker(roles: Roles, tmp_path: Path) -> None:
    """A worker that is stopped answers no probe; one that goes on but is stuck at its stage says so, in time."""
    worker = roles.processes["acoustic"]
    extracting = extractors_of(worker.pid)
    assert extracting
    for process in (*extracting, worker.pid):
        os.kill(process, signal.SIGSTOP)
    assert roles.asked("acoustic", "/healthz")[0] == 0
    rng = np.random.default_rng(MEMOS)
    again = tmp_path / "audio" / "again.wav"
    soundfile.write(again, speak(random_voice(rng), 5.0, rng)[0], SAMPLING_RATE)
    roles.run("submit", "submit", str(again), "--user", USER)
    os.kill(worker.pid, signal.SIGCONT)
    began = time.monotonic()
    roles.wait_until(lambda: roles.lag("acoustic")["records"] == 1)
    roles.wait_until(lambda: "acoustic: no progress" in roles.asked("acoustic", "/healthz")[1])
    assert time.monotonic() - began < RED_WITHIN_S + 10  # the memo must come to the stage first
    for process in extracting:
        os.kill(process, signal.SIGCONT)
    roles.wait_until(lambda: roles.asked("acoustic", "/healthz")[0] == 200)
    roles.wait_until(lambda: roles.lag("acoustic")["records"] == 0)


def extractors_of(process: int) -> list[int]:
    """The openSMILE processes of a worker, which its threads have started; those that decode audio are not of them."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [child for child in children if b"decoder_process" not in Path(f"/proc/{child}/cmdline").read_bytes()]


def check_every_metric(roles: Roles) -> None:
    """Whatever is listed was told by some role, but for what takes trouble that there was none of."""
    elsewhere = {f"{PREFIX}{name}" for name in (*ONLY_IN_TROUBLE, *OF_ROLES_THAT_ARE_NOT_HERE, *OF_SEALING)}
    # Some are told by a loop of the agents that turns once a minute.
    roles.wait_until(lambda: untold(roles) <= elsewhere)


def untold(roles: Roles) -> set[str]:
    """Metrics that no role tells."""
    texts = [roles.asked(role, "/metrics")[1] for role in ROLES]
    told = {s.name for text in texts for f in text_string_to_metric_families(text) for s in f.samples}
    return {metric.name for metric in METRICS if not told & {metric.name, f"{metric.name}_count"}}


def check_killed_worker(roles: Roles) -> None:
    """Who is dead tells nothing; the agents tell that its records wait, and for how long."""
    dead = roles.processes.pop("embedding")
    dead.send_signal(signal.SIGUSR1)
    roles.wait_until((roles.folder / "embedding.json").exists)
    dead.kill()
    dead.wait()
    again = roles.folder / "audio" / "once-more.wav"
    again.write_bytes((roles.folder / "audio" / "again.wav").read_bytes() + bytes(2))
    roles.run("submit", "submit", str(again), "--user", USER)
    roles.wait_until(lambda: roles.lag("embedding")["records"] == 1)
    before = roles.lag("embedding")["seconds"]
    roles.wait_until(lambda: roles.lag("embedding")["seconds"] > before + 5)


def check_loaded(roles: Roles) -> None:
    """After all their work they have loaded what they run, and no library of another role."""
    loaded = {name: Loaded.read(roles.folder / f"{name}.json") for name in ROLES}
    assert {name: each.modules & FOREIGN[name] for name, each in loaded.items()} == {name: set() for name in loaded}
    assert loaded["embedding"].modules & {"tensorflow", "openvino", "onnxruntime"}, "it has an engine"
    assert "faust" in loaded["agents"].modules


def secrets_of(settings: Settings) -> set[str]:
    """What no line and no label may hold."""
    return {USER, *(score.memo_id for score in scores(settings) if score.memo_id != "high")}


def check_logs(roles: Roles, settings: Settings, tmp_path: Path) -> None:
    """One JSON object a line; the broken file's user and memo only as hashes; nobody's name, path or password."""
    lines = roles.lines()
    assert {line["role"] for line in lines} == {"acoustic", "embedding", "agents", "bridge-webhook"}
    letter, _ = (line for line in lines if "became a dead letter" in line["message"])
    assert (letter["role"], letter["topic"]) == ("acoustic", topics.UPLOADED.name)
    assert letter["user"] == hmac.new(LOG_KEY.encode(), f"user:{USER}".encode(), "sha256").hexdigest()[:16]
    assert len(letter["memo"]) == 16
    assert len(letter["trace_id"]) == 32
    ready = {line["role"]: line for line in lines if line["message"].endswith(": ready")}
    assert set(ready) == {"acoustic", "embedding", "agents"}
    assert all(line["device"] and line["bundle"].startswith("demo-") for line in ready.values())
    assert {role: line["modalities"] for role, line in ready.items()} == {
        "acoustic": "acoustic",
        "embedding": "embedding",
        "agents": "acoustic,embedding",
    }
    assert (ready["embedding"]["precision"], "precision" in ready["acoustic"]) == ("float32", False)
    choice = chosen(Settings.load())
    assert (ready["embedding"]["engine"], ready["embedding"]["engine_reason"]) == (choice.engine, choice.reason)
    text = "\n".join(json.dumps(line) for line in lines)
    metrics = "\n".join(roles.asked(role, "/metrics")[1] for role in roles.processes)
    passwords = {"secret-of-", "secret of a client", LOG_KEY, WEBHOOK_SECRET, guarded_token(roles)}
    for secret in {*secrets_of(settings), str(tmp_path), "broken.wav", *passwords}:
        assert secret not in text
        assert secret not in metrics


def guarded_token(roles: Roles) -> str:
    return Path(roles.environments["agents"]["UNDERTONE_KAFKA_TOKEN_FILE"]).read_text()

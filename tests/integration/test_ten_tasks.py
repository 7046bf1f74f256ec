"""Ten tasks, done in a fresh clone by the commands of README and docs alone: what `tests/pages.py` calls steps."""

import asyncio
import csv
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from deploy.kafka.server import KafkaServer
from schemas.codec import Codec
from schemas.events import MemoUploaded
from schemas.settings import Settings
from streams.local.submit import Submitter, event_of
from tests.audio_files import ffmpeg, sndfile, spoken
from tests.bridging import publish
from tests.faults.reader import Reader as Topics
from tests.pages import block
from tests.programs import need, version
from tests.servers import Broker, RedisServer
from tests.tasks import Reader
from tests.unit.streams.alerts import episode_of
from workers.simulation.cohort import random_voice, voice_at
from workers.simulation.source_filter import speak

pytestmark = pytest.mark.timeout(560)  # training computes features of a whole corpus
PATIENCE_S = 200
SPEAKERS, TESTED, DAYS = 9, 3, 4
"""Speakers of the corpus, how many of them are on its test side, and recordings of each."""
IDS = {"scored": "memo_id", "dead": "dead_letter_id"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """Somebody with a fresh clone and some recordings."""
    memos = tmp_path_factory.mktemp("data") / "memos"
    memos.mkdir()
    clone = tmp_path_factory.mktemp("tasks") / "undertone"
    # Workers may read the memos of the example, and those that other pages submit from the clone.
    prefixes = "UNDERTONE_AUDIO_PREFIXES=file://"
    placeholders = {f"{prefixes}/data/memos/": f"{prefixes}{memos}/,file://{clone}/", "/data/memos": str(memos)}
    with Reader(clone, placeholders) as reader:
        names = ("memo.m4a", "other.wav", "monday.m4a", "tuesday.m4a", "memos/first.wav")
        paths = [*(reader.folder / name for name in names), memos / "memo.m4a", memos / "memo.wav"]
        for number, path in enumerate(paths):
            path.parent.mkdir(exist_ok=True)
            signal = spoken(5.0, seed=number)
            path.write_bytes(
                sndfile(signal) if path.suffix == ".wav" else ffmpeg(signal, container="ipod", codec="aac", rate=44100)
            )
        yield reader


@pytest.fixture(scope="module")
def connected(reader: Reader, kafka: KafkaServer, redis_server: RedisServer) -> Iterator[Topics]:
    """The same reader's cluster, with Undertone running."""
    Broker(kafka.bootstrap, real=True).empty()
    reader.placeholders |= {"kafka:9092": kafka.bootstrap, "redis://redis:6379/0": redis_server.url}
    reader.environment |= {"UNDERTONE_ACOUSTIC_PROCESSES": "1", "UNDERTONE_PARTITIONS": "2"}
    reader.follow("connect")
    topics = Topics(kafka.bootstrap)
    yield topics
    topics.close()


@pytest.fixture(scope="module")
def trained(reader: Reader) -> list[str]:
    """What the steps of training printed."""
    write_manifest(reader.folder)
    return reader.follow("train")


def write_manifest(folder: Path) -> None:
    """A corpus with the columns of the page: speakers who were recorded in both states."""
    columns = block("docs/train.md", "manifest").splitlines()[0].split(",")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for number in range(SPEAKERS):
            rng = np.random.default_rng(number)
            voice = random_voice(rng)
            for day in range(DAYS):
                path = folder / "corpus" / f"{number}-{day}.wav"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(sndfile(speak(voice_at(voice, day % 2, rng), 4.0, rng)[0]))
                row = {
                    "path": f"corpus/{path.name}",
                    "speaker": f"speaker-{number}",
                    "label": day % 2,
                    "recorded_at": f"2026-05-{day + 1:02}T08:30:00Z",
                    "split": "test" if number < TESTED else "train",
                    "sex": "f" if number % 2 else "m",
                    "age": 20 + number,
                }
                writer.writerow(row)


def ids(topics: Topics, kind: str) -> int:
    """How many different memos, or dead letters, there are on a topic."""
    return len({record[IDS[kind]] for record in getattr(topics.read(), kind)})


def wait_for(reader: Reader, topics: Topics, kind: str, count: int) -> None:
    """Until a topic has records with so many different ids."""
    wait_until(reader, lambda: ids(topics, kind) >= count)


def wait_until(reader: Reader, condition: Callable[[], bool]) -> None:
    """While all terminals run."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, reader.logs()
        assert all(process.poll() is None for process in reader.terminals), reader.logs()
        time.sleep(0.1)


def test_score_own_memos(reader: Reader) -> None:
    (printed,) = reader.follow("score")
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert [line["path"] for line in lines] == ["monday.m4a", "tuesday.m4a"]
    assert [line["baseline_memos"] for line in lines] == [0, 1]
    assert len(re.findall(r"(?:low|high|indeterminate)", printed)) >= 4
    assert (reader.folder / "memo.png").stat().st_size > 10_000
    with np.load(reader.folder / "features.npz") as arrays:
        assert "memo.markers" in arrays


def test_train_then_score_with_the_trained_bundle(trained: list[str]) -> None:
    figures, scored = trained
    assert "AUC" in figures
    score = json.loads(scored)
    assert 0 <= score["probability"] <= 1
    assert score["bundle"] in figures


def test_evaluate(reader: Reader, trained: list[str]) -> None:
    assert trained
    (printed,) = reader.follow("evaluate")
    assert "AUC" in printed
    assert f"{DAYS * TESTED} memos of {TESTED} speakers" in printed
    assert [path for path in (reader.folder / "report").iterdir() if path.suffix == ".md"]


def test_choose_a_budget(reader: Reader) -> None:
    rng = np.random.default_rng(0)
    calm, low = rng.normal(-1.0, 0.5, 45), rng.normal(1.5, 0.5, 12)
    with (reader.folder / "scores.jsonl").open("w") as file:
        for day, logit in enumerate([*calm, *low]):
            month, of_month = divmod(day, 28)
            at = f"2026-{month + 1:02}-{of_month + 1:02}T08:30:00Z"
            line = {"user_id": "anna", "memo_id": f"m{day}", "recorded_at": at, "probability": 1 / (1 + np.exp(-logit))}
            file.write(json.dumps(line) + "\n")
    compared, replayed = reader.follow("budget")
    thresholds = [float(found) for found in re.findall(r"threshold: ([\d.]+)", compared)]
    assert len(thresholds) == 2
    assert thresholds[0] < thresholds[1], "fewer false alerts, a higher threshold"
    assert json.loads(replayed.splitlines()[0])["state"] == "raised"
    assert (reader.folder / "anna.png").stat().st_size > 10_000


def test_use_the_monitor_of_drift(reader: Reader) -> None:
    assert reader.follow("detector") == ["day 62: raised\n"]


def test_start_with_an_own_kafka_and_see_the_first_score(reader: Reader, connected: Topics) -> None:
    scores = connected.read().scored
    # Delivery is at least once, and a score may be revised: an embedding worker that starts slowly misses the first.
    (user,) = {(score["user_id"], score["memo_id"]) for score in scores}
    assert user[0] == "anna"
    shown = reader.printed["connect"][-1]
    assert any(f"{score['probability']:.2f}" in shown and str(score["band"]).lower() in shown for score in scores)


def test_submit_a_memo_and_see_what_became_of_it(reader: Reader, connected: Topics) -> None:
    before = ids(connected, "scored")
    *_, shown = reader.follow("quickstart")
    assert re.search(r"2026-05-01 08:30 +anna +(low|high|indeterminate)", shown), "undertone scores"
    assert re.search(r"open episode +none", shown), "undertone user"
    wait_for(reader, connected, "scored", before + 2)


def test_subscribe_in_java(reader: Reader, connected: Topics) -> None:
    need("java", (17,), version("java", "-version"))
    need("mvn", (3,), version("mvn", "-v"))
    alerts = episode_of()
    reader.follow("subscribe-java")
    asyncio.run(publish(Settings.load(kafka_bootstrap=reader.environment["KAFKA_BOOTSTRAP"]), *alerts))
    subscriber = reader.folder / f"terminal-{len(reader.terminals) - 1}.log"
    wait_until(reader, lambda: subscriber.read_text().count("\n") >= len(alerts))
    shown = [json.loads(line)["alert_id"] for line in subscriber.read_text().splitlines() if line.startswith("{")]
    assert shown == [alert.alert_id for alert in alerts]


def test_produce_from_typescript(reader: Reader, connected: Topics) -> None:
    need("node", (20, 19, 4), version("node", "--version"))
    before = ids(connected, "scored")
    *_, printed = reader.follow("produce-typescript")
    wait_for(reader, connected, "scored", before + 1)
    assert printed.split()[-1] in {score["memo_id"] for score in connected.read().scored}


def test_mute_a_user(reader: Reader, connected: Topics) -> None:
    assert connected.read().scored
    (printed,) = reader.follow("mute")
    assert printed.startswith("muted user anna until")
    assert re.search(r"user +anna +\d{4}.*in hospital", printed), "undertone alerts mutes"
    assert printed.splitlines()[-1] == "ended"


def test_redrive_a_dead_letter(reader: Reader, connected: Topics) -> None:
    before = ids(connected, "scored")
    path = Path(reader.placeholders["/data/memos"]) / "late.wav"
    audio = sndfile(spoken(5.0, seed=77))
    path.write_bytes(audio)
    event = event_of(path, "ben", datetime(2026, 5, 1, tzinfo=UTC), lambda path, *_: path.resolve().as_uri())
    path.unlink()
    asyncio.run(announce(event, reader.environment["KAFKA_BOOTSTRAP"]))
    wait_for(reader, connected, "dead", 1)
    path.write_bytes(audio)
    listed, _, sent = reader.follow("redrive")[0].partition("would be sent back")
    assert "audio:missing" in listed
    assert "1 records sent back" in sent
    wait_for(reader, connected, "scored", before + 1)


async def announce(event: MemoUploaded, bootstrap: str) -> None:
    """Send the event of an upload, as a platform that is ahead of its storage does."""
    async with Submitter.open(Settings.load(kafka_bootstrap=bootstrap), Codec(), None) as submitter:
        await submitter.send(event)

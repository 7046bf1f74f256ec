"""`undertone up` as a user runs it: real processes, real workers, real agents, and anyone may die."""

import asyncio
import getpass
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from redis import Redis
from typer.testing import CliRunner, Result

from schemas import topics
from schemas.codec import Codec
from schemas.errors import Transient
from schemas.events import MemoUploaded
from schemas.settings import Settings
from streams.cli.application import app
from streams.local.discover import Running, connected
from streams.local.submit import Submitter
from tests.json_output import validated
from workers.audio.memo import SAMPLING_RATE
from workers.kafka.consumer_lag import Observer
from workers.kafka.topic_reader import follow
from workers.simulation.cohort import random_voice
from workers.simulation.source_filter import speak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PATIENCE_S = 150.0
CODEC = Codec()
SECRET = "a secret of twenty-four bytes"
"""Of a bridge that is not started."""


class Up:
    """One `undertone up` and the commands that talk to it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "UNDERTONE_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"}
        self.environment["UNDERTONE_WEBHOOK_SECRET"] = SECRET
        self.environment["UNDERTONE_DASHBOARD_PORT"] = "0"
        for name in ("KAFKA_BOOTSTRAP", "REDIS_URL", "UNDERTONE_AUDIO_PREFIXES"):
            self.environment.pop(name, None)

    def start(self) -> None:
        with (self.home.parent / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "up"], env=self.environment, stdout=log, stderr=log
            )
        self.wait_until(lambda: (self.home / "up.json").exists())

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.home.parent / "up.log").read_text()[-3000:]
            assert self.process.poll() is None, (self.home.parent / "up.log").read_text()[-3000:]
            time.sleep(0.2)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "streams.cli", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def call(self, *arguments: str) -> Result:
        """As `run`, within this process, which has imported everything."""
        changes = {name: self.environment.get(name) for name in os.environ.keys() | self.environment.keys()}
        return CliRunner().invoke(app, arguments, env=changes)

    def submit(self, *paths: Path, user: str, at: datetime) -> list[str]:
        """Submit and give the memo ids."""
        names = [str(path) for path in paths]
        done = self.run("submit", *names, "--user", user, "--recorded-at", at.isoformat(), "--json")
        assert done.returncode == 0, done.stderr
        return [line["memo_id"] for line in validated("submit", done.stdout)]

    def upload(self, *events: MemoUploaded) -> None:
        """Send events as a platform does."""

        async def send() -> None:
            async with Submitter.open(self.settings, CODEC, None) as submitter:
                await submitter.send_all(events)

        asyncio.run(send())

    @property
    def settings(self) -> Settings:
        running = Running(**json.loads((self.home / "up.json").read_text()))
        return connected(Settings.load(kafka_bootstrap=running.bootstrap, redis_url=running.redis_url))

    def read(self, topic: topics.Topic) -> list[Any]:
        async def read() -> list[Any]:
            return [r async for r in follow(self.settings, CODEC, topic, topic.record, from_start=True, once=True)]

        return asyncio.run(read())

    def scores(self) -> Counter[str]:
        """Records of risk.scored by memo."""
        return Counter(score.memo_id for score in self.read(topics.SCORED))

    def backlog(self) -> int:
        async def ask() -> int:
            async with Observer(self.settings) as observer:
                return await observer.memos_under_way()

        return asyncio.run(ask())

    def children(self) -> list[int]:
        """Process ids."""
        parent = self.process.pid
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]

    def child(self, words: str) -> int:
        """Process id of the child whose command line ends with these words."""
        for pid in self.children():
            if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                return pid
        raise AssertionError(f"no child runs {words}")


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("voices")
    paths = []
    for number in range(4):
        rng = np.random.default_rng(number)
        signal, _ = speak(random_voice(rng), 5.0, rng)
        paths.append(folder / f"memo-{number}.wav")
        soundfile.write(paths[-1], signal, SAMPLING_RATE)
    return paths


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    system = Up(tmp_path_factory.mktemp("up") / "home")
    system.start()
    yield system
    if system.process.poll() is None:
        system.stop()


DAY = datetime(2026, 5, 1, 8, tzinfo=UTC)


def test_memos_become_scores_and_what_is_broken_becomes_one_dead_letter(up: Up, voices: list[Path]) -> None:
    broken = voices[0].with_name("shopping-list.wav")
    broken.write_text("milk, bread, two lemons\n")
    memos = up.submit(*voices, user="one", at=DAY)
    (lost,) = up.submit(broken, user="one", at=DAY)
    up.wait_until(lambda: set(memos) <= set(up.scores()) and up.read(topics.DEAD))
    (letter,) = up.read(topics.DEAD)
    assert lost not in up.scores()
    assert lost.encode() in letter.value
    assert all(score.bundle_id.startswith("demo-") for score in up.read(topics.SCORED))


def test_submit_waits_for_the_outcome_of_each_memo(up: Up, voices: list[Path]) -> None:
    broken = voices[0].with_name("shopping-list.wav")
    given = ("submit", str(voices[0]), str(broken), "--user", "[red]patient", "--recorded-at", DAY.isoformat())
    first = up.call(*given, "--wait", "--json")
    lines = {Path(line["path"]).name: line for line in validated("submit", first.stdout)}
    assert first.exit_code == 1
    assert lines["shopping-list.wav"]["dead_letter"]["reason"] == "audio:undecodable"
    assert lines["shopping-list.wav"]["score"] is None
    assert lines["memo-0.wav"]["score"]["memo_id"] == lines["memo-0.wav"]["memo_id"]
    again = up.call("submit", str(voices[0]), *given[3:], "--wait")
    assert (again.exit_code, again.stdout.count("\n")) == (0, 1)
    assert "probability" in again.stdout


def test_a_wait_ends_with_its_timeout(up: Up, voices: list[Path]) -> None:
    result = up.call("submit", str(voices[1]), "--user", "[red]patient", "--wait", "--timeout", "0s")
    assert isinstance(result.exception, Transient)
    assert "1 of 1 memos have neither" in str(result.exception)
    assert "no outcome yet" in result.stdout


def test_scores_are_shown_newest_first_and_by_user(up: Up) -> None:
    newest = validated("scores", up.call("scores", "--json", "--limit", "3").stdout)
    assert len(newest) == 3
    assert [score["scored_at"] for score in newest] == sorted((s["scored_at"] for s in newest), reverse=True)
    table = up.call("scores", "--user", "[red]patient", "--since", "1h").stdout
    assert "[red]patient" in table
    assert "one" not in table.split()
    empty = up.call("scores", "--user", "stranger")
    assert (empty.exit_code, empty.stdout, "no scores of this user" in empty.stderr) == (0, "", True)


def test_the_dashboard_answers_at_the_address_that_is_printed(up: Up) -> None:
    log = up.home.parent / "up.log"
    up.wait_until(lambda: "\ndashboard: http://127.0.0.1:" in log.read_text())
    (address,) = re.findall(r"^dashboard: (\S+)$", log.read_text(), re.MULTILINE)[-1:]
    assert json.loads((up.home / "up.json").read_text())["dashboard_url"] == address
    assert httpx.get(f"{address}/api/v1/openapi.json").json()["info"]["title"] == "Undertone"


def test_a_user_is_shown_with_all_that_is_known(up: Up) -> None:
    up.wait_until(lambda: json.loads(up.call("user", "[red]patient", "--json").stdout)["awaited"] == [])
    (seen,) = validated("user", up.call("user", "[red]patient", "--json").stdout)
    assert (seen["user_id"], len(seen["scores"]), seen["baseline"]["memos"]) == ("[red]patient", 2, 2)
    assert [letter["reason"] for letter in seen["dead_letters"]] == ["audio:undecodable"]
    assert seen["drift"]["threshold"] is None
    text = up.call("user", "[red]patient").stdout
    assert "[red]patient" in text
    assert "threshold none yet" in " ".join(text.split())
    stranger = up.call("user", "stranger")
    assert (stranger.exit_code, stranger.stdout) == (1, "")
    assert "nothing is known" in stranger.stderr


@pytest.mark.parametrize("name", ["", " ", " u", "u\n", "\x1b[2J", "u" * 129])
def test_what_no_record_may_hold_is_refused_as_a_pseudonym(up: Up, voices: list[Path], name: str) -> None:
    for command in (("submit", str(voices[0]), "--user", name), ("scores", "--user", name), ("user", name)):
        assert up.call(*command).exit_code == 2


def test_its_home_is_for_its_user_alone(up: Up) -> None:
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (up.home, *up.home.rglob("*"))}
    assert {path.name for path in found} >= {"up.json", "journal.db", "valkey.sock", "appendonlydir", "audio"}
    assert {str(path): oct(mode) for path, mode in found.items() if mode & 0o077} == {}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc, which Linux has")
def test_a_secret_is_in_the_environment_of_no_child_that_does_not_need_it(up: Up) -> None:
    children = up.children()
    assert len(children) >= 4
    assert not [pid for pid in children if SECRET.encode() in Path(f"/proc/{pid}/environ").read_bytes()]


def test_the_same_memo_again_changes_nothing(up: Up, voices: list[Path]) -> None:
    up.wait_until(lambda: up.backlog() == 0)
    with Redis.from_url(up.settings.redis_url or "") as redis:
        scores, state = up.scores(), {key: redis.get(key) for key in redis.keys("undertone:*{*")}
        up.submit(*voices, user="one", at=DAY)
        up.wait_until(lambda: up.backlog() == 0)
        assert up.scores() == scores
        assert {key: redis.get(key) for key in redis.keys("undertone:*{*")} == state


def test_a_memo_that_was_mended_and_sent_back_scores_as_if_it_had_never_failed(up: Up, voices: list[Path]) -> None:
    """Two users say the same; the audio of one is not there at first, and its memo becomes a dead letter."""
    calm, late = (up.home / "audio" / f"{name}.wav" for name in ("calm", "late"))
    shutil.copy(voices[0], calm)
    up.upload(*(MemoUploaded(path.stem, path.stem, DAY, DAY, path.as_uri()) for path in (calm, late)))
    up.wait_until(lambda: up.scores()["calm"] and len(up.read(topics.DEAD)) == 3)
    assert up.scores()["late"] == 0
    shutil.copy(voices[0], late)
    assert up.run("dead-letters", "redrive", "--reason", "audio:missing").stdout == "1 records sent back\n"
    up.wait_until(lambda: up.scores()["late"])
    one, other = (s for s in up.read(topics.SCORED) if s.memo_id in {"calm", "late"})
    assert (one.probability, one.band, one.evidence) == (other.probability, other.band, other.evidence)
    assert "sent back before" in up.run("dead-letters", "redrive", "--reason", "audio:missing").stdout


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc, which Linux has")
@pytest.mark.parametrize("victim", ["worker acoustic", "worker embedding", "agents", "valkey"])
def test_killing_any_process_loses_no_memo(up: Up, voices: list[Path], victim: str) -> None:
    before = up.submit(*voices[:2], user=f"user of {victim}", at=DAY)
    os.kill(up.child(victim), signal.SIGKILL)
    after = up.submit(*voices[2:], user=f"user of {victim}", at=DAY + timedelta(days=1))
    up.wait_until(lambda: {*before, *after} <= set(up.scores()))


def test_killing_the_whole_system_loses_no_memo(up: Up, voices: list[Path]) -> None:
    memos = up.submit(*voices, user="survivor", at=DAY)
    up.kill()
    (up.home / "up.json").unlink(missing_ok=True)
    up.start()
    up.wait_until(lambda: set(memos) <= set(up.scores()))


def test_an_operator_can_mute_a_user_and_see_it(up: Up) -> None:
    given = ("alerts", "mute", "one", "--for", "2w", "--reason", "known to the clinic", "--by", "ward 3", "--json")
    muted = up.call(*given)
    assert muted.exit_code == 0, muted.output
    assert [mute["name"] for mute in validated("alerts mute", muted.stdout)] == ["one"]
    (listed,) = validated("alerts mutes", up.call("alerts", "mutes", "--json").stdout)
    assert (listed["name"], listed["reason"], listed["by"]) == ("one", "known to the clinic", "ward 3")
    assert "ward 3" in up.call("user", "one").stdout
    (ended,) = validated("alerts unmute", up.call("alerts", "unmute", "one", "--json").stdout)
    assert ended["until"] < listed["until"]
    assert up.call("alerts", "unmute", "one").exit_code == 1


def test_a_mute_that_looks_like_a_mistake_is_refused(up: Up) -> None:
    for arguments in (
        ("", "--cohort"),
        (" ", "--cohort"),
        ("stranger",),
        ("stranger", "--cohort"),
        ("one", "--cohort", "--reason", "x" * 501),
    ):
        refused = up.call("alerts", "mute", *arguments, "--for", "1h")
        assert refused.exit_code in (1, 2), arguments
        assert refused.stderr, arguments
    assert up.call("alerts", "mute", "stranger", "--for", "1h", "--even-if-unknown").exit_code == 0
    assert "no mute of this cohort" in up.call("alerts", "unmute", "stranger", "--cohort").stderr
    assert ": 1 of " in up.call("alerts", "mute", "[red]pat", "--cohort", "--for", "1h").stdout
    assert {mute["by"] for mute in validated("alerts mutes", up.call("alerts", "mutes", "--json").stdout)} == {
        getpass.getuser(),
        "ward 3",
    }


def test_a_topic_without_alerts_is_said_to_have_none(up: Up) -> None:
    result = up.call("alerts", "--once")
    assert (result.exit_code, result.stdout, "no alerts" in result.stderr) == (0, "", True)


def test_topics_are_described_with_their_backlog(up: Up) -> None:
    told = up.run("topics", "describe").stdout
    assert len(validated("topics describe", up.run("topics", "describe", "--json").stdout)) == len(topics.TOPICS)
    assert all(topic.name in told for topic in topics.TOPICS)


def test_a_memo_of_the_doctor_is_scored_and_forgotten(up: Up) -> None:
    """The user is thrown away: nothing of it stays but records, which expire."""
    done = up.run("doctor", "--send-memo", "--within", "120", "--skip", "encoder", "--skip", "openSMILE", "--json")
    found = {row["check"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, [row for row in found.values() if row["status"] == "failed"]
    for check in ("memo sent", "memo acoustic", "memo embedding", "memo score", "memo clean-up"):
        assert found[check]["status"] == "ok", found[check]
    assert "removed: its audio, its keys in Redis; stays: its records (memos.uploaded" in found["memo clean-up"]["text"]
    assert list((up.home / "audio").glob("undertone-doctor-*")) == []
    with Redis.from_url(str(up.settings.redis_url)) as client:
        assert client.keys("*undertone-doctor-*") == []
        assert not [member for member in client.zrange("undertone:joins:open", 0, -1) if b"undertone-doctor" in member]


def test_nothing_personal_is_in_the_log(up: Up) -> None:
    log = (up.home.parent / "up.log").read_text()
    memos = [score.memo_id for score in up.read(topics.SCORED)]
    told = [secret for secret in ("survivor", "user of", str(up.home), ".wav", *memos) if secret in log]
    assert told == []


def test_it_stops_within_ten_seconds_when_asked(up: Up) -> None:
    began = time.monotonic()
    assert up.stop() == 0
    assert time.monotonic() - began < 30  # the machine may be busy; the system's own deadline is 10 s


def test_nobody_to_talk_to_is_told_in_one_line(tmp_path: Path, voices: list[Path]) -> None:
    done = Up(tmp_path / "nowhere").run("submit", str(voices[0]), "--user", "one")
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "undertone up" in done.stderr


def test_a_role_with_too_many_dead_letters_is_restarted_and_the_system_stays(tmp_path: Path) -> None:
    """Every memo fails: each worker stops, with the reason, and is started again; nothing else ends."""
    system = Up(tmp_path / "home")
    changes = {"DEAD_LETTER_MAX_RUN": "2", "DEAD_LETTER_BACK_OFF_S": "0.1", "MODALITIES": "acoustic"}
    system.environment |= {f"UNDERTONE_{name}": value for name, value in changes.items()}
    system.start()
    try:
        broken = [tmp_path / f"list-{number}.wav" for number in range(8)]
        for path in broken:
            path.write_text(f"milk, bread, {path.stem}\n")
            system.submit(path, user=path.stem, at=DAY)
        log = tmp_path / "up.log"
        system.wait_until(lambda: log.read_text().count("worker acoustic exited with code 70") >= 2)
        assert "worker acoustic exited with code 70 (too many dead letters" in log.read_text()
        assert "restarting in 20.0 s" in log.read_text()
        assert "agents exited" not in log.read_text()
    finally:
        assert system.stop() == 0

"""`undertone up` as a user runs it: real processes, real workers, real agents, and anyone may die."""

import getpass
import hmac
import json
import os
import re
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from redis import Redis

from schemas import topics
from schemas.errors import Transient
from schemas.events import MemoUploaded
from tests.integration.running_up import LOG_KEY, SECRET, Up
from tests.json_output import validated
from workers.audio.memo import SAMPLING_RATE
from workers.service.logs import HASH_DIGITS
from workers.simulation.cohort import random_voice
from workers.simulation.source_filter import speak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


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
    system.environment["UNDERTONE_SEAL"] = "off"  # until it is killed
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


def test_a_killed_system_loses_no_memo_and_seals_what_it_had_in_clear(up: Up, voices: list[Path]) -> None:
    given = ("--user", "survivor", "--recorded-at", DAY.isoformat(), "--json")
    submitted = up.call("submit", *map(str, voices), *given)  # in this process, so that nothing is scored yet
    up.kill()
    memos = [line["memo_id"] for line in validated("submit", submitted.stdout)]
    (up.home / "up.json").unlink(missing_ok=True)
    del up.environment["UNDERTONE_SEAL"]
    up.start()
    up.wait_until(lambda: set(memos) <= set(up.scores()))
    with Redis.from_url(up.settings.redis_url or "") as redis:
        up.wait_until(lambda: [key for key in redis.keys("undertone:*{*") if b"}~" not in key] == [])
    for user in ("one", "survivor"):
        (seen,) = validated("user", up.call("user", user, "--json").stdout)
        assert seen["baseline"]["memos"] == len(voices), user


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
    up.wait_until(lambda: log.read_text().count("\ndashboard: http://127.0.0.1:") == 2)  # it was started twice
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


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc, which Linux has")
def test_a_secret_of_a_file_is_in_no_environment_and_still_known_to_the_roles(up: Up) -> None:
    children = up.children()
    assert not [pid for pid in children if LOG_KEY.encode() in Path(f"/proc/{pid}/environ").read_bytes()]
    assert LOG_KEY not in (up.home / "up.json").read_text()
    named = hmac.new(LOG_KEY.encode(), b"user:one", "sha256").hexdigest()[:HASH_DIGITS]
    assert f"user={named}" in (up.home.parent / "up.log").read_text(), "the dead letter of this user was logged"


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
    up.wait_until(
        lambda: up.scores()["calm"] and any(letter.reason == "audio:missing" for letter in up.read(topics.DEAD))
    )
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
    assert "the keys are in UNDERTONE_HOME, wrapped by local, and open" in found["sealing"]["text"]
    assert "removed: its audio, its keys in Redis; stays: its records (memos.uploaded" in found["memo clean-up"]["text"]
    assert list((up.home / "audio").glob("undertone-doctor-*")) == []
    with Redis.from_url(str(up.settings.redis_url)) as client:
        assert client.keys("*undertone-doctor-*") == []
        assert not [member for member in client.zrange("undertone:joins:open", 0, -1) if b"undertone-doctor" in member]


def test_nobody_is_named_in_a_file_of_its_home(up: Up) -> None:
    """Of those who spoke since it seals: the append-only file has every value that there ever was."""
    files = {path: path.read_bytes() for path in up.home.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"keys.db", "keyset.json", "journal.db", "history.db"}
    names = (b"user of worker", b"user of agents", b"[red]patient", b"undertone-doctor")
    assert [(path.name, name) for path, data in files.items() for name in names if name in data] == []


def test_nothing_personal_is_in_the_log(up: Up) -> None:
    log = (up.home.parent / "up.log").read_text()
    memos = [score.memo_id for score in up.read(topics.SCORED)]
    told = [secret for secret in ("survivor", "user of", str(up.home), *memos) if secret in log]
    assert told == []
    assert not re.search(r"\.wav\b", log), "a path of audio"


def test_it_stops_within_ten_seconds_when_asked(up: Up) -> None:
    began = time.monotonic()
    assert up.stop() == 0
    assert not (up.home / "role-secrets").exists(), "copies of secrets go with the roles that read them"
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

"""The border: in clear within, sealed outside, and nothing of a person who was erased goes either way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.codec import Codec
from schemas.errors import ConfigurationError, Erased, Poison, Transient, Unknown
from schemas.headers import headers_of, span_of
from schemas.sealed_frame import is_sealed
from schemas.sealed_headers import SEALED_CONTENT_TYPE, is_concealed
from schemas.settings import Settings
from schemas.topics import Topic
from tests.keys import erase
from tests.unit.schemas.records import FEATURES, SCORED, UPLOADED
from workers.privacy import key_requests
from workers.privacy import sealing as border
from workers.privacy.clear_records import Opened, Written
from workers.privacy.key_directory import KeyDirectory
from workers.privacy.key_requests import KEYS, erased_since
from workers.privacy.key_services.kms import KEYSET
from workers.privacy.key_tables import FILE
from workers.privacy.keyring import Keyring
from workers.privacy.sealing import DIRECTORY_FILE, ENTERING, Sealing, close_all, sealing_of
from workers.service.health import HEALTH

VALUE = Codec().encode(SCORED)
ANN = SCORED.user_id.encode()


@dataclass
class Record:
    """A record as a client gives it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Any = field(default_factory=list)
    timestamp: Any = None


def settings_of(home: Path, **changes: Any) -> Settings:
    return Settings.load(home=home, seal="on", **changes)


@pytest.fixture
async def sealing(tmp_path: Path) -> AsyncIterator[Sealing]:
    async with Sealing.open(settings_of(tmp_path)) as opened:
        yield opened
    HEALTH.has(KEYS)


def read(written: Written | None, topic: Topic = topics.SCORED) -> Record:
    assert written is not None
    return Record(topic.name, written.key, written.value, written.headers)


async def sealed(
    sealing: Sealing, topic: Topic = topics.UPLOADED, key: bytes | None = ANN, value: bytes = VALUE
) -> Record:
    return read(await sealing.sealed(topic.name, key, value, headers_of(UPLOADED, "submit", None)), topic)


@pytest.mark.parametrize("topic", [each for each in topics.TOPICS if each is not topics.AUDIT], ids=lambda t: t.name)
async def test_what_is_sealed_opens_as_it_was_and_shows_nobody(sealing: Sealing, topic: Topic) -> None:
    await sealed(sealing)
    record = await sealed(sealing, topic)
    assert record.key is not None
    assert record.value is not None
    everything = record.key + record.value + b"".join(value for _, value in record.headers)
    assert is_sealed(record.value)
    assert ANN not in everything
    assert await sealing.opened([record]) == [Opened(ANN, VALUE, record.headers)]


async def test_a_person_has_one_key_on_all_topics_and_people_have_different_ones(sealing: Sealing) -> None:
    keys = [
        (await sealed(sealing, topic, user)).key
        for topic in (topics.UPLOADED, topics.FEATURES)
        for user in (ANN, b"ben")
    ]
    assert keys[:2] == keys[2:]
    assert len(set(keys)) == 2


async def test_events_of_the_audit_trail_and_topics_left_clear_pass_as_they_are(tmp_path: Path) -> None:
    async with Sealing.open(settings_of(tmp_path, seal_clear_topics="risk.alerts")) as sealing:
        for topic in (topics.AUDIT, topics.ALERTS):
            headers = headers_of(UPLOADED, "submit", None)
            assert await sealing.sealed(topic.name, ANN, VALUE, headers) == (ANN, VALUE, headers)
        assert not sealing.seals(topics.ALERTS.name)
        assert sealing.seals(topics.SCORED.name)


async def test_off_seals_nothing_loads_no_key_and_still_opens_what_was_sealed(tmp_path: Path) -> None:
    async with Sealing.open(settings_of(tmp_path)) as on:
        record = await sealed(on)
    async with Sealing.open(settings_of(tmp_path).model_copy(update={"seal": "off"})) as off:
        assert not off.concerns([Record(topics.SCORED.name, ANN, VALUE)], enrol=True)
        clear = await off.sealed(topics.SCORED.name, ANN, VALUE, [])
        assert clear == (ANN, VALUE, [])
        assert off._loaded is None, "a process that seals nothing needs no key service"
        assert off.concerns([record])
        (opened,) = await off.opened([record])
        assert isinstance(opened, Opened)
        assert opened[:2] == (ANN, VALUE)
        again = await off.sealed(topics.UPLOADED.name, ANN, VALUE, record.headers)
        assert again is not None
        assert not is_concealed(again.headers), "a record that is written in clear says so"


async def test_a_mixed_log_opens_in_its_order(sealing: Sealing) -> None:
    clear = Record(topics.SCORED.name, ANN, VALUE, [("ce_id", b"1")])
    records = [clear, await sealed(sealing, topics.UPLOADED), clear]
    opened = await sealing.opened(records)
    assert [each.value for each in opened if isinstance(each, Opened)] == [VALUE] * 3
    assert opened[0] == Opened(*(clear.key, clear.value, clear.headers))


async def test_a_clear_record_that_enters_gives_its_person_keys_and_one_trace_to_all_workers(sealing: Sealing) -> None:
    upload = Record(topics.UPLOADED.name, ANN, VALUE, headers_of(UPLOADED, "platform", None))
    (before,) = await sealing.opened([upload])
    assert before == Opened(ANN, VALUE, upload.headers), "a command that only reads makes no keys"
    entered = [(await sealing.opened([upload], enrol=True))[0] for _ in ("acoustic", "embedding")]
    assert entered[0] == entered[1]
    assert isinstance(entered[0], Opened)
    cause = dict(entered[0].headers)
    features = await sealing.sealed(topics.FEATURES.name, ANN, VALUE, headers_of(FEATURES, "acoustic", cause))
    assert features is not None
    spans = [span_of(dict(each)) for each in (upload.headers, cause, dict(features.headers))]
    assert spans[0]
    assert spans[1]
    assert spans[2]
    assert spans[0].trace_id != spans[1].trace_id == spans[2].trace_id


async def test_a_record_that_is_resent_keeps_its_headers(sealing: Sealing) -> None:
    record = await sealed(sealing)
    again = await sealing.sealed(topics.UPLOADED.name, ANN, VALUE, record.headers)
    assert again is not None
    assert again.headers == record.headers
    assert dict(again.headers)["content-type"] == SEALED_CONTENT_TYPE.encode()
    untouched = await sealing.sealed(topics.UPLOADED.name, record.key, record.value or b"", record.headers)
    assert untouched == (record.key, record.value, record.headers), "what is sealed is not sealed twice"


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"a\nb", b"x" * 200], ids=repr)
async def test_a_record_of_nobody_is_sealed_too(sealing: Sealing, key: bytes | None) -> None:
    record = await sealed(sealing, topics.DEAD, key)
    assert record.key is None
    assert await sealing.opened([record]) == [Opened(None, VALUE, record.headers)]


async def test_moved_to_another_topic_or_person_it_is_forged(sealing: Sealing) -> None:
    mine, other = await sealed(sealing), await sealed(sealing, key=b"ben")
    moved = [replace(mine, topic=topics.FEATURES.name), replace(mine, key=other.key), replace(mine, key=None)]
    damaged = replace(mine, value=(mine.value or b"")[:-1] + b"\0")
    cut = replace(mine, value=(mine.value or b"")[:20])
    outcomes = await sealing.opened([*moved, damaged, cut, mine])
    assert [o.reason for o in outcomes if isinstance(o, Poison)] == ["record:forged"] * 5
    assert isinstance(outcomes[-1], Opened), "its neighbours open"


@pytest.mark.parametrize("seal", ["on", "off"])
@pytest.mark.parametrize("value", [b"\xc3\x53", b"\xc3\x53\x01" + b"x" * 40, b"\xc3\x53\x02" + b"x" * 80], ids=len)
async def test_what_never_opens_waits_for_no_key_and_ends_no_process(tmp_path: Path, seal: str, value: bytes) -> None:
    settings = settings_of(tmp_path).model_copy(update={"seal": seal})
    record, neighbour = Record(topics.FEATURES.name, ANN, value), Record(topics.AUDIT.name, ANN, VALUE)
    async with Sealing.open(settings) as sealing:
        forged, clear = await sealing.opened([record, neighbour])
        for outcome in (forged, sealing.opened_now(record)):
            assert isinstance(outcome, Poison)
            assert outcome.reason == "record:forged"
        assert clear == Opened(ANN, VALUE, [])
    assert not KeyDirectory.is_made(settings), "no key is looked for"


# Erased


async def test_records_of_an_erased_person_are_dropped_and_nothing_new_is_written(sealing: Sealing) -> None:
    """A worker has read a memo; the person is erased; then the worker has its features ready."""
    mine, other = await sealed(sealing), await sealed(sealing, key=b"ben")
    await sealing.opened([mine, other])
    erase(sealing.keyring, ANN.decode())
    outcomes = await sealing.opened([mine, other])
    assert isinstance(outcomes[0], Erased)
    assert isinstance(outcomes[1], Opened)
    for topic in (topics.FEATURES, topics.SCORED, topics.DEAD):
        assert await sealing.sealed(topic.name, ANN, VALUE, []) is None
    assert sealing.keyring.directory.subjects_of([ANN.decode()]) == {}, "no new key was made"


async def test_who_was_erased_since_a_record_of_theirs_was_opened_is_known(sealing: Sealing) -> None:
    """A bridge has an open episode; no record that it could open ends it."""
    mine, other = await sealed(sealing), await sealed(sealing, key=b"ben")
    await sealing.opened([mine, other])
    people = {SCORED.user_id, "ben", "somebody in clear"}
    assert await erased_since(sealing, people) == set()
    erase(sealing.keyring, SCORED.user_id)
    assert await erased_since(sealing, people) == {SCORED.user_id}
    assert await erased_since(sealing, set()) == set()


async def test_who_was_read_last_is_remembered_longest(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(border, "REMEMBERED", 2)
    ann, ben, eve = [await sealed(sealing, key=user) for user in (ANN, b"ben", b"eve")]
    await sealing.opened([ann, ben, ann, eve])
    erase(sealing.keyring, SCORED.user_id)
    assert sealing.came_sealed(SCORED.user_id)
    assert not sealing.came_sealed("ben")
    assert await sealing.sealed(topics.FEATURES.name, ANN, VALUE, []) is None, "no new key"


@pytest.mark.parametrize("restarted", [True, False])
async def test_who_returns_after_an_erasure_gets_another_subject(tmp_path: Path, restarted: bool) -> None:
    async with Sealing.open(settings_of(tmp_path)) as sealing:
        before = await sealed(sealing)
        erase(sealing.keyring, ANN.decode())
        for topic in ENTERING:
            assert await sealing.sealed(topic, ANN, VALUE, []) is None, "nothing that lies around"
        if not restarted:
            await _returned(sealing, before)
    if restarted:
        async with Sealing.open(settings_of(tmp_path)) as sealing:
            await _returned(sealing, before)


async def _returned(sealing: Sealing, before: Record) -> None:
    after = read(await sealing.sealed(topics.UPLOADED.name, ANN, VALUE, [], enters=True), topics.UPLOADED)
    assert after.key != before.key
    outcomes = await sealing.opened([before, after])
    assert isinstance(outcomes[0], Erased)
    assert isinstance(outcomes[1], Opened)
    assert read(await sealing.sealed(topics.FEATURES.name, ANN, VALUE, [])).key == after.key


def clear(moment: float, topic: Topic = topics.UPLOADED, user: bytes = ANN) -> Record:
    """A record in clear, of this Unix time."""
    return Record(topic.name, user, VALUE, [], round(moment * 1000))


@pytest.mark.parametrize("named", ["", topics.UPLOADED.name], ids=["sealed", "left-clear"])
async def test_an_upload_in_clear_from_before_an_erasure_makes_nobody_anew(tmp_path: Path, named: str) -> None:
    """A platform wrote it, and it was not read yet; with a topic of uploads that is sealed, and one that is not."""
    now = time.time()
    async with Sealing.open(settings_of(tmp_path, seal_clear_topics=named)) as sealing:
        await sealing.opened([clear(now - 60)], enrol=True)
        first = erase(sealing.keyring, ANN.decode())
    async with Sealing.open(settings_of(tmp_path, seal_clear_topics=named)) as sealing:
        old, ben, new = clear(now - 50), clear(now - 50, user=b"ben"), clear(time.time() + 60)
        for records in ([old, ben], [ben, old]):
            outcomes = await sealing.opened(records, enrol=True)
            assert {type(outcome) for outcome in outcomes} == {Erased, Opened}
        assert sealing.keyring.directory.subjects_of([ANN.decode()]) == {}, "nobody is made anew"
        assert await sealing.sealed(topics.FEATURES.name, ANN, VALUE, []) is None, "of a memo that was read before"
        for _ in range(2):
            outcomes = await sealing.opened([old, new, old], enrol=True)
            assert [type(outcome) for outcome in outcomes] == [Erased, Opened, Erased], "who returns is another person"
        assert sealing.keyring.subject(ANN.decode()) != first
        assert await sealing.sealed(topics.FEATURES.name, ANN, VALUE, []) is not None


@pytest.mark.parametrize("topic", topics.TOPICS[1:4], ids=lambda topic: topic.name)
async def test_older_records_in_clear_are_not_read_again_and_asked_about_once(
    tmp_path: Path, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild of the history, and commands that resubmit, read what was written before sealing."""
    now = time.time()
    async with Sealing.open(settings_of(tmp_path)) as sealing:
        await sealing.opened([clear(now - 60)], enrol=True)
        erase(sealing.keyring, ANN.decode())
    asked, look = list[list[str]](), KeyDirectory.last_erasures

    def counted(directory: KeyDirectory, users: Collection[str]) -> Any:
        asked.append(sorted(users))
        return look(directory, users)

    monkeypatch.setattr(KeyDirectory, "last_erasures", counted)
    async with Sealing.open(settings_of(tmp_path)) as sealing:
        records = [clear(now - 30, topic), clear(now - 30, topic, b"ben"), clear(now + 60, topic)]
        assert sealing.concerns(records)
        for _ in range(3):
            outcomes = await sealing.opened(records)
            assert [type(outcome) for outcome in outcomes] == [Erased, Opened, Opened]
        assert sealing.keyring.directory.subjects_of([ANN.decode(), "ben"]) == {}, "reading gives nobody keys"
    assert asked == [sorted([ANN.decode(), "ben"])]


async def test_the_moment_of_a_record_is_counted_in_the_units_of_its_client(sealing: Sealing) -> None:
    await sealing.opened([clear(time.time())], enrol=True)
    erase(sealing.keyring, ANN.decode())
    late = replace(clear(0), timestamp=round(time.time()) + 60)
    (outcome,) = await sealing.opened([late], enrol=True, per_s=1)
    assert isinstance(outcome, Opened)
    for timestamp in (late.timestamp, -1, None):
        (outcome,) = await sealing.opened([replace(late, timestamp=timestamp)], enrol=True)
        assert isinstance(outcome, Erased), "one without a moment is old"


async def test_while_a_person_is_being_erased_nothing_is_taken(sealing: Sealing, tmp_path: Path) -> None:
    await sealed(sealing)
    directory = KeyDirectory.open(settings_of(tmp_path))
    directory.mark_erasing(ANN.decode())
    directory.close()
    sealing.keyring.forget(sealing.keyring.subject(ANN.decode()))
    assert await sealing.sealed(topics.UPLOADED.name, ANN, VALUE, []) is None


# Keys that are missing


async def test_unknown_keys_hold_their_record_and_no_other(tmp_path: Path) -> None:
    """A key directory restored from an older backup: nothing is skipped."""
    async with Sealing.open(settings_of(tmp_path / "other")) as other:
        foreign = await sealed(other)
    async with Sealing.open(settings_of(tmp_path / "own")) as sealing:
        own = await sealed(sealing)
        outcomes = await sealing.opened([own, foreign])
        assert isinstance(outcomes[0], Opened)
        assert isinstance(outcomes[1], Unknown)
        assert KEYS in HEALTH.lacking()
    HEALTH.has(KEYS)


async def test_only_those_who_may_meet_a_person_first_make_keys(sealing: Sealing) -> None:
    for topic in (topics.SCORED, topics.ALERTS):
        with pytest.raises(Unknown):
            await sealing.sealed(topic.name, b"never-seen", VALUE, [])


def away(monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]) -> None:
    monkeypatch.setattr(Keyring, "warm_now", call)


async def test_while_keys_are_away_nothing_is_opened_or_written_and_health_says_why(
    sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await sealed(sealing)
    sealing.keyring.forget(sealing.keyring.subject(ANN.decode()))

    def refuse(*_: Any, **__: Any) -> None:
        raise Transient("the key directory does not answer")

    with monkeypatch.context() as patched:
        away(patched, refuse)
        (outcome,) = await sealing.opened([record])
        assert isinstance(outcome, Transient)
        with pytest.raises(Transient):
            await sealing.sealed(topics.UPLOADED.name, ANN, VALUE, [])
        assert HEALTH.lacking()[KEYS] == "the key directory does not answer"
    assert isinstance((await sealing.opened([record]))[0], Opened)
    assert KEYS not in HEALTH.lacking()


async def test_a_slow_key_service_is_not_waited_for_and_asked_once(
    sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await sealed(sealing)
    sealing.keyring.forget(sealing.keyring.subject(ANN.decode()))
    monkeypatch.setattr(key_requests._Process, "is_command", False)
    monkeypatch.setattr(key_requests, "ANSWER_WITHIN_S", 0.05)
    asked, answers, warm_now = [], asyncio.Event(), Keyring.warm_now
    loop = asyncio.get_running_loop()

    def slow(ring: Keyring, *wanted: Any, **how: Any) -> None:
        asked.append(wanted)
        asyncio.run_coroutine_threadsafe(answers.wait(), loop).result()
        warm_now(ring, *wanted, **how)

    away(monkeypatch, slow)
    began = time.monotonic()
    for _ in range(3):
        assert isinstance((await sealing.opened([record]))[0], Transient)
    assert len(asked) == 1, "no thread waits beside another"
    assert "longer than" in HEALTH.lacking()[KEYS]
    assert time.monotonic() - began < 5
    answers.set()
    monkeypatch.setattr(key_requests, "ANSWER_WITHIN_S", 10.0)
    assert isinstance((await sealing.opened([record]))[0], Opened)


async def test_a_wrong_key_service_opens_nothing_writes_nothing_and_says_why(tmp_path: Path) -> None:
    """The keyset of another installation: a process ends with the reason, and goes on with the right one."""
    for home in ("own", "other"):
        async with Sealing.open(settings_of(tmp_path / home)) as sealing:
            record = await sealed(sealing, key=home.encode())
    own, other = (tmp_path / home / KEYSET for home in ("own", "other"))
    right = own.read_bytes()
    own.write_bytes(other.read_bytes())
    async with Sealing.open(settings_of(tmp_path / "own")) as sealing:
        with pytest.raises(ConfigurationError, match="does not open this key directory"):
            await sealing.sealed(topics.UPLOADED.name, b"own", VALUE, [])
        with pytest.raises(ConfigurationError, match="does not open this key directory"):
            await sealing.opened([record])
        own.write_bytes(right)
        assert isinstance((await sealing.opened([await sealed(sealing, key=b"own")]))[0], Opened)


# Keys of Kafka, and one border a process


async def test_the_keys_of_a_person_are_the_pseudonym_and_the_subject(tmp_path: Path) -> None:
    async with Sealing.open(settings_of(tmp_path)) as sealing:
        assert await sealing.keys_of("ann") == {b"ann"}
        (subject,) = await sealing.keys_of("ann", enrol=True) - {b"ann"}
        assert (await sealed(sealing, key=b"ann")).key == subject
    off = settings_of(tmp_path).model_copy(update={"seal": "off"})
    async with Sealing.open(off) as sealing:
        assert await sealing.keys_of("ann") == {b"ann", subject}
        assert await sealing.keys_of("ben", enrol=True) == {b"ben"}
    async with Sealing.open(off.model_copy(update={"home": tmp_path / "new"})) as sealing:
        assert await sealing.keys_of("ann") == {b"ann"}
        assert not (tmp_path / "new").exists(), "looking for keys makes none"


def test_all_clients_of_a_process_use_one_border(tmp_path: Path) -> None:
    close_all()
    settings = settings_of(tmp_path)
    first = sealing_of(settings)
    assert sealing_of(settings.model_copy(update={"instance": "a"})) is first
    assert sealing_of(settings.model_copy(update={"seal": "off"})) is not first
    close_all()
    assert sealing_of(settings) is not first
    close_all()


def test_the_file_of_the_directory_is_that_of_the_directory() -> None:
    """Named twice, so that a process that seals nothing need not load the directory to look for it."""
    assert DIRECTORY_FILE == FILE


def test_a_command_may_run_one_event_loop_after_the_other(tmp_path: Path) -> None:
    sealing = Sealing(settings_of(tmp_path))
    keys = [asyncio.run(sealing.keys_of(user, enrol=True)) for user in ("ann", "ben")]
    sealing.close()
    assert [len(each) for each in keys] == [2, 2]

"""`--send-memo`: one memo of a throw-away user through the running system, step by step, and what it leaves behind."""

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.codec import Codec, DecodeError
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, Modality, RiskScored
from schemas.headers import headers_of
from schemas.ids import DOCTOR_USER, derived_id
from schemas.pipeline import AGENTS_GROUP, feature_stages
from schemas.schema_registry import make_codec
from streams.doctor.examination import Check, Patient, in_thread
from streams.doctor.finding import Finding, Status, failed, ok, warning
from streams.doctor.forgotten_user import forget
from streams.doctor.kafka.broker import CLUSTER
from streams.doctor.kafka.requests import Cluster
from streams.doctor.placed_audio import PlacedAudio, given_audio, place_voice
from workers.kafka.authorization_errors import refusal
from workers.kafka.clients import make_producer, make_reader
from workers.kafka.connect import stopped
from workers.kafka.consumer_lag import Observer
from workers.kafka.partitioner import partition_of
from workers.privacy.sealing import sealing_of

SCORE = "score"
FOLLOWED = (topics.FEATURES, topics.SCORED, topics.DEAD)
SEND_S = 60.0
COMMIT_S = 30.0
"""For the agents to commit the score: by then they have written all that they keep of it."""
CLEAN_UP = "memo clean-up"


class SentMemo:
    """One memo and what becomes of it.

    audio_uri: audio that is there already, None for a simulated voice; within_s: how long each stage is waited for.
    """

    def __init__(self, audio_uri: str | None, within_s: float) -> None:
        self._audio_uri, self._within_s = audio_uri, within_s
        self.user_id = f"{DOCTOR_USER}{os.urandom(8).hex()}"
        self.memo_id = derived_id("memo", self.user_id)
        self._codec: Codec = Codec()
        self._audio: PlacedAudio | None = None
        self._sent_at = 0.0
        self._arrivals: dict[str, asyncio.Future[tuple[float, Any]]] = {}
        self._scored_at: tuple[int, int] | None = None
        self._places: list[str] = []
        """Records on topics, as `topic partition:offset`."""

    def checks(self, modalities: tuple[Modality, ...]) -> tuple[Check, ...]:
        """The steps as rows: sent, features of each modality, score, clean-up."""
        limit_s = self._within_s + 5.0
        needs = ("memo sent",)
        steps = [
            *(Check(f"memo {each}", partial(self._features, each), needs, limit_s=limit_s) for each in modalities),
            Check("memo score", self._score, needs, limit_s=limit_s),
        ]
        for step in (*modalities, SCORE):
            self._arrivals[step] = asyncio.get_running_loop().create_future()
        return (
            Check("memo sent", self._send, ("Kafka connection", "topics"), limit_s=SEND_S),
            *steps,
            Check(CLEAN_UP, self._clean_up, after=tuple(step.name for step in steps), limit_s=COMMIT_S + SEND_S),
        )

    async def _send(self, patient: Patient) -> Finding:
        """Audio, then a reader at the ends of the topics, then the upload."""
        self._codec = make_codec(patient.settings)
        make: Callable[[], PlacedAudio] = (
            partial(given_audio, self._audio_uri)
            if self._audio_uri
            else partial(place_voice, patient.settings, self.user_id)
        )
        self._audio = await in_thread(make)
        # Also when the command is interrupted.
        patient.exits.callback(self._audio.remove)
        try:
            reader = await self._reader(patient)
            producer = make_producer(patient.settings, enters=True)
            await producer.start()
            try:
                await self._upload(producer)
            finally:
                await stopped(producer)
        except KafkaError as error:
            return failed(_why(error), "grant what `doctor` needs (deploy/kafka/acls.md)")
        reading = asyncio.create_task(self._follow(reader))
        patient.exits.callback(reading.cancel)
        return ok(f"acknowledged after {time.monotonic() - self._sent_at:.2f} s, user {self.user_id}")

    async def _reader(self, patient: Patient) -> AIOKafkaConsumer:
        """A reader of the partitions that this user's records come to, from their ends."""
        cluster: Cluster = patient.known[CLUSTER]
        keys = await sealing_of(patient.settings).keys_of(self.user_id, enrol=True)
        places = [
            TopicPartition(each.name, partition_of(key, len(cluster.topics[each.name].partitions)))
            for each in FOLLOWED
            for key in keys
        ]
        reader = make_reader(patient.settings, start="latest")
        patient.exits.push_async_callback(stopped, reader)
        await reader.start()
        reader.assign({*places})
        reader.wanted = keys
        for place, end in (await reader.end_offsets(places)).items():
            reader.seek(place, end)
        return reader

    async def _upload(self, producer: Any) -> None:
        assert self._audio is not None
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        event = MemoUploaded(self.memo_id, self.user_id, now, now, self._audio.uri, self._audio.digest)
        value = await in_thread(lambda: self._codec.encode(event, f"{topics.UPLOADED.name}-value"))
        self._sent_at = time.monotonic()
        done = await producer.send_and_wait(
            topics.UPLOADED.name, value, self.user_id.encode(), headers=headers_of(event, "doctor", None)
        )
        self._places.append(f"{done.topic} {done.partition}:{done.offset}")

    async def _follow(self, reader: AIOKafkaConsumer) -> None:
        while True:
            for records in (await reader.getmany(timeout_ms=200)).values():
                for record in records:
                    self._note(record)

    def _note(self, record: ConsumerRecord) -> None:
        self._places.append(f"{record.topic} {record.partition}:{record.offset}")
        kind = next(topic.record for topic in FOLLOWED if topic.name == record.topic)
        try:
            found = self._codec.decode(record.value, kind)
        except DecodeError:
            return
        seconds = time.monotonic() - self._sent_at
        match found:
            case MemoFeatures():
                self._settle(found.modality, seconds, found)
            case RiskScored():
                self._scored_at = (record.partition, record.offset)
                self._settle(SCORE, seconds, found)
            case DeadLetter():
                for step in self._arrivals:
                    self._settle(step, seconds, found)

    def _settle(self, step: str, seconds: float, found: object) -> None:
        arrival = self._arrivals.get(step)
        if arrival is not None and not arrival.done():
            arrival.set_result((seconds, found))

    async def _features(self, modality: Modality, _: Patient) -> Finding:
        (stage,) = feature_stages([modality])
        return await self._waited(
            modality,
            lambda found: ok(f"{len(found.windows)} windows"),
            f"look whether `undertone worker {stage.name}` runs, and at its lag: `undertone topics describe`",
        )

    async def _score(self, _: Patient) -> Finding:
        return await self._waited(
            SCORE, _scored, "look whether `undertone agents` runs, and at its lag: `undertone topics describe`"
        )

    async def _waited(self, step: str, told: Callable[[Any], Finding], fix: str) -> Finding:
        try:
            async with asyncio.timeout(self._within_s):
                seconds, found = await asyncio.shield(self._arrivals[step])
        except TimeoutError:
            return failed(f"nothing within {self._within_s:g} s", fix)
        if isinstance(found, DeadLetter):
            return failed(
                f"a dead letter of {found.stage} after {seconds:.2f} s: {found.reason}: {found.detail}",
                "correct what it says; it is on memos.dead until its retention ends",
            )
        what = told(found)
        return Finding(what.status, f"after {seconds:.2f} s: {what.text}", what.fix)

    async def _clean_up(self, patient: Patient) -> Finding:
        """Remove what can be removed, once no process writes it any more; say what stays."""
        stays: list[str] = []
        gone: list[str] = []
        if self._audio is not None and self._audio.digest is not None:
            await in_thread(self._audio.remove)
            gone.append("its audio")
        score = self._arrivals[SCORE]
        if score.done():
            await self._committed(patient)
        if self._places:
            forgotten = await forget(patient, self.user_id, self.memo_id)
            (gone if forgotten.status is Status.OK else stays).append(forgotten.text)
            stays.append(f"its records ({', '.join(self._places)}) until the retention of their topics ends")
            stays.append("its bits of the roster, a Bloom filter that nothing can be taken from")
        if not score.done() and self._places:
            stays.append("what a stage that runs later makes of it")
        removed = f"removed: {', '.join(gone)}" if gone else "nothing to remove"
        return ok(f"{removed}; stays: {'; '.join(stays)}" if stays else removed)

    async def _committed(self, patient: Patient) -> None:
        """Return when the agents have committed the score, after COMMIT_S, or when this user may not see that."""
        if self._scored_at is None:
            return
        partition, offset = self._scored_at
        place = TopicPartition(topics.SCORED.name, partition)
        try:
            async with asyncio.timeout(COMMIT_S), Observer(patient.settings, [topics.SCORED]) as observer:
                while (await observer.positions(AGENTS_GROUP, topics.SCORED.name))[place] <= offset:
                    await asyncio.sleep(0.2)
        except (KafkaError, TimeoutError):
            return


def _scored(found: RiskScored) -> Finding:
    missing = [reason for reason in found.reasons if reason.startswith("missing:")]
    why = f" ({', '.join(found.reasons)})" if found.reasons else ""
    text = f"band {found.band}{why}, bundle {found.bundle_id}"
    if missing:
        return warning(text, "look at the worker of the missing modality")
    return ok(text)


def _why(error: KafkaError) -> str:
    return str(refusal(error) or f"the broker answers {type(error).__name__}")

from dataclasses import replace
from datetime import timedelta

from schemas.care_events import AuditEvent, CareAction
from schemas.codec import Codec
from schemas.events import DeadLetter, MemoFeatures, MemoUploaded, RiskAlert, RiskScored
from schemas.topics import DEAD, MAX_RECORD_BYTES, TOPICS, UPLOADED
from tests.unit.schemas.records import DEAD as LETTER


def test_the_way_of_a_memo_in_order() -> None:
    assert [(topic.name, topic.record, topic.retention.days) for topic in TOPICS] == [
        ("memos.uploaded", MemoUploaded, 7),
        ("memos.features", MemoFeatures, 1),
        ("risk.scored", RiskScored, 30),
        ("risk.alerts", RiskAlert, 90),
        ("memos.dead", DeadLetter, 30),
        ("care.actions", CareAction, 400),
        ("audit.events", AuditEvent, 2192),
    ]


def test_every_topic_is_keyed_by_user_but_the_dead_letters_and_the_audit() -> None:
    assert {topic.key for topic in TOPICS if topic.record not in (DeadLetter, AuditEvent)} == {"user_id"}
    assert all(topic.retention >= timedelta(days=1) for topic in TOPICS)
    assert UPLOADED.meaning


def test_the_largest_record_fits_into_its_dead_letter() -> None:
    letter = replace(LETTER, value=bytes(MAX_RECORD_BYTES - 1024), headers={"history": bytes(1024)}, detail="d" * 4096)
    assert len(Codec().encode(letter)) + 4096 < DEAD.max_bytes
    assert {topic.max_bytes for topic in TOPICS if topic is not DEAD} == {MAX_RECORD_BYTES}

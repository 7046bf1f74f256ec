from dataclasses import replace
from datetime import timedelta

from schemas.care_events import AuditEvent, CareAction, Consent
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
        ("care.consents", Consent, 36525),
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


def test_no_record_outlives_its_retention_by_more_than_a_quarter_or_a_week() -> None:
    assert {topic.name: topic.segment / timedelta(hours=1) for topic in TOPICS[:3]} == {
        "memos.uploaded": 42,
        "memos.features": 6,
        "risk.scored": 168,
    }
    assert all(topic.segment <= min(topic.retention / 4, timedelta(days=7)) for topic in TOPICS)


def test_only_the_last_word_of_a_person_outlasts_every_retention() -> None:
    assert [topic.name for topic in TOPICS if topic.policy == "compact"] == ["care.consents"]
    assert {topic.name: topic.how_long for topic in TOPICS if topic.name in ("memos.features", "care.consents")} == {
        "memos.features": "1 day",
        "care.consents": "the last of each person",
    }

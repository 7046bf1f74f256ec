"""Words for judgements and reasons: every one of the tables has one."""

from schemas.reasons import ABSTENTIONS
from streams.views.marks import Judged
from streams.web.person.words import OTHER, judged_words, reason_words, reasons_words


def test_every_judgement_and_every_reason_has_its_words() -> None:
    assert all(judged_words(each) for each in Judged)
    assert [reason for reason in ABSTENTIONS if reason_words(reason) == OTHER] == []


def test_a_reason_of_a_newer_version_is_another_reason_and_none_is_said_twice() -> None:
    assert reasons_words(["missing:embedding", "missing:text", "quality:new"]) == ["an analysis is missing", OTHER]

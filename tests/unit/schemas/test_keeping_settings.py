from datetime import timedelta

import pytest

from schemas.errors import ConfigurationError
from schemas.keeping_settings import retention_of
from schemas.settings import Settings
from schemas.topics import FEATURES, TOPICS


def test_consent_is_assumed_unless_it_is_required() -> None:
    assert Settings().consent == "assumed"
    assert Settings.load(consent="required").consent == "required"
    with pytest.raises(ConfigurationError, match="UNDERTONE_CONSENT"):
        Settings.load(consent="perhaps")


def test_every_topic_but_the_compacted_one_has_a_retention_to_set_which_is_that_of_the_table() -> None:
    settings = Settings()
    assert {topic.name: retention_of(topic, settings) for topic in TOPICS} == {t.name: t.retention for t in TOPICS}
    assert [topic.name for topic in TOPICS if topic.setting is None] == ["care.consents"]
    assert retention_of(FEATURES, Settings.load(features_retention_s=7200)) == timedelta(hours=2)
    with pytest.raises(ConfigurationError, match="UNDERTONE_FEATURES_RETENTION_S"):
        Settings.load(features_retention_s=60)

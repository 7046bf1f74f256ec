"""Every place with data of a person is in an export, or the table says why not."""

from schemas import topics
from schemas.state_keys import STATE_KEYS
from streams.history.tables import MARKS, METADATA
from streams.views.export.places import STATE, TABLES, TOPICS


def test_every_personal_key_and_table_has_a_row() -> None:
    assert set(STATE) == {row.name for row in STATE_KEYS if row.personal}
    assert set(TABLES) == {table.name for table in METADATA.sorted_tables if table.info[MARKS].personal}


def test_every_topic_but_the_audit_trail_is_about_a_person() -> None:
    assert set(topics.TOPICS) - set(TOPICS) == {topics.AUDIT}

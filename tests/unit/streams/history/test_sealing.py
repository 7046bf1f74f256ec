from sqlalchemy import Double, LargeBinary, Text

from streams.history.sealing import shape_of
from streams.history.tables import COHORT_MEMBERS, PERSONAL, Hidden

CLEAR = {
    "user_id": "the subject",
    "cohort": "pages are filtered by it",
    "dedup_key": "a digest that is derived: pages are found by it",
    "episode_key": "the same",
    "kind": "of an episode, as its rank says",
    "severity": "the same",
    "outcome": "alerts are counted by it",
    "bundle_id": "of the model",
}
"""Texts of people's rows that stay in clear, and why. Numbers are times, ranks and places on the topics."""


def test_every_text_number_and_blob_about_a_person_is_hidden_or_has_a_reason() -> None:
    for table in PERSONAL:
        for column in table.columns:
            hidden = column.info.get("hidden")
            if isinstance(column.type, Text | LargeBinary | Double):
                assert (hidden is None) == (column.name in CLEAR), f"{table.name}.{column.name}"


def test_every_table_of_people_with_hidden_columns_has_one_frame() -> None:
    for table in PERSONAL:
        frames = [column.name for column in table.columns if column.info.get("hidden") is Hidden.FRAME]
        assert len(frames) == (table is not COHORT_MEMBERS)
        shape = shape_of(table)
        assert shape.frame == next(iter(frames), None)
        assert "user_id" not in shape.keys
        # A row is found by its key without being opened.
        assert set(shape.keys).isdisjoint(shape.hidden - shape.digests)

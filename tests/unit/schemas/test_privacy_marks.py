"""Every place where data comes to rest says by what it is sealed, and how an erasure reaches it."""

from collections.abc import Mapping

import pytest

from schemas.privacy_marks import NOT_PERSONAL, Erased, Marks, Sealed
from schemas.state_keys import STATE_KEYS, Kind
from schemas.stored_files import STORED_FILES
from schemas.topics import AUDIT, TOPICS
from streams.history.tables import MARKS, METADATA

PLACES: Mapping[str, Marks | None] = {
    **{f"topic {topic.name}": topic.marks for topic in TOPICS},
    **{f"key {row.pattern}": row.marks for row in STATE_KEYS},
    **{f"table {name}": table.info.get(MARKS) for name, table in METADATA.tables.items()},
    **{f"file {row.name}": row.marks for row in STORED_FILES},
}
KINDS = {"drift:{<user_id>}": Erased.DELETED, "mutes": Erased.ENTRIES, "roster": Erased.UNLINKED}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_marked(place: str) -> None:
    marks = PLACES[place]
    assert isinstance(marks, Marks), f"{place}: give it `Marks`, by what it is sealed and how it is erased"
    assert (marks.sealed is Sealed.NOTHING) == (marks.erased is Erased.NOTHING)
    assert marks.personal == (marks != NOT_PERSONAL)


def test_what_an_erasure_leaves_open_is_deleted_or_outside_or_gone_within_minutes() -> None:
    """Without keys to destroy it has to be deleted, or go by itself."""
    unsealed = {marks.erased for marks in PLACES.values() if marks and marks.sealed is Sealed.MODE}
    assert unsealed <= {Erased.BRIEF, Erased.DELETED}
    elsewhere = {marks.erased for marks in PLACES.values() if marks and marks.sealed is Sealed.ELSEWHERE}
    assert elsewhere == {Erased.OUTSIDE}


def test_records_of_a_log_are_erased_by_their_keys_but_the_audit_trail_that_names_nobody() -> None:
    assert {topic.name: topic.marks.erased for topic in TOPICS if topic.marks.erased is not Erased.KEYS} == {
        AUDIT.name: Erased.HASHED
    }


def test_keys_of_a_person_are_deleted_and_lists_of_several_lose_the_person() -> None:
    for row in STATE_KEYS:
        if "<user_id>" in row.pattern:
            assert row.marks == Marks(Sealed.LASTING, Erased.DELETED)
        if row.kind is Kind.SORTED_SET:
            assert row.marks == Marks(Sealed.SUBJECT, Erased.ENTRIES)
    assert {row.pattern: row.marks.erased for row in STATE_KEYS if row.pattern in KINDS} == KINDS


def test_a_table_with_a_user_loses_the_rows_of_that_user() -> None:
    for table in METADATA.sorted_tables:
        marks = table.info[MARKS]
        assert ("user_id" in table.columns) == (marks.erased is Erased.DELETED), table.name

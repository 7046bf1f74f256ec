from schemas.event_enums import CareActionKind, MarkKind
from streams.history.care import marks_from
from tests.history import action


def test_a_mark_can_be_changed_and_taken_back() -> None:
    cold = action("anna", CareActionKind.MARKED, 3.0, mark=MarkKind.ILLNESS)
    longer = action("anna", CareActionKind.MARKED, 2.0, mark=MarkKind.ILLNESS, mark_id=cold.action_id, excluded=True)
    gone = action("anna", CareActionKind.UNMARKED, 1.0, mark_id=longer.action_id)
    assert [mark.excluded for mark in marks_from([cold])] == [False]
    assert [mark.mark_id for mark in marks_from([cold, longer])] == [longer.action_id]
    assert marks_from([cold, longer, gone]) == []


def test_what_is_no_mark_is_left_out() -> None:
    assert marks_from([action("anna", CareActionKind.NOTED), action("anna", CareActionKind.UNMARKED)]) == []

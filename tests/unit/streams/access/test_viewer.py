"""Who asks, and what they see."""

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from streams.access.roles import Permission
from streams.access.viewer import LOCAL, StaffRole, Viewer, cohorts_of, optional_viewer, viewer

CLINICIAN = Viewer("ann", frozenset({StaffRole.CLINICIAN}), cohorts=("north",))


def request(**state: object) -> Request:
    return Request({"type": "http", "headers": [], "state": state})


def test_a_clinician_sees_people_of_their_own_cohorts_only() -> None:
    assert CLINICIAN.sees("north")
    assert not CLINICIAN.sees("south")
    assert not CLINICIAN.sees("")


def test_somebody_made_without_cohorts_sees_no_one() -> None:
    assert not Viewer("ann", frozenset({StaffRole.CLINICIAN})).sees("north")


def test_local_mode_may_do_everything() -> None:
    assert LOCAL.local
    assert LOCAL.sees("anything")
    assert all(map(LOCAL.may, Permission))


def test_a_clinician_who_is_operator_as_well_sees_no_other_cohorts() -> None:
    roles = [StaffRole.CLINICIAN, StaffRole.OPERATOR]
    assert cohorts_of(roles, ["north", "north"]) == ("north",)


def test_an_audit_event_names_all_roles() -> None:
    assert Viewer("x", frozenset({StaffRole.OPERATOR, StaffRole.CLINICIAN})).role == "clinician+operator"
    assert Viewer("x", frozenset()).role == "none"
    assert LOCAL.role == "local"


async def test_the_viewer_of_a_request_is_who_the_middleware_found() -> None:
    assert await viewer(request(viewer=CLINICIAN)) is CLINICIAN
    assert optional_viewer(request()) is None
    with pytest.raises(HTTPException) as refused:
        await viewer(request(viewer=None))
    assert refused.value.status_code == 401

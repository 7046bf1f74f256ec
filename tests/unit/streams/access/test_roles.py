"""What each role may do."""

import pytest

from streams.access.roles import GRANTS, Permission, StaffRole, granted

CLINICIAN, OPERATOR, AUDITOR = StaffRole.CLINICIAN, StaffRole.OPERATOR, StaffRole.AUDITOR


def test_every_permission_has_its_row() -> None:
    assert set(GRANTS) == set(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_without_a_role_nothing_is_granted(permission: Permission) -> None:
    assert not granted(permission, ())


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (CLINICIAN, {"caseload", "person", "act", "export", "upload", "system", "fhir"}),
        (OPERATOR, {"caseload", "upload", "system", "redrive"}),
        (AUDITOR, {"system", "audit", "erase"}),
    ],
)
def test_the_table_of_roles(role: StaffRole, allowed: set[str]) -> None:
    assert {each.value for each in Permission if granted(each, {role})} == allowed | {"public", "account"}

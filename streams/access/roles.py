"""Roles of staff and what each may do; nothing is allowed that the table does not list."""

from collections.abc import Collection, Mapping
from enum import StrEnum


class StaffRole(StrEnum):
    """What somebody is to Undertone, by a claim of the identity provider."""

    CLINICIAN = "clinician"
    """Cares for people: sees and does everything about those of their own cohorts."""
    OPERATOR = "operator"
    """Keeps the system running: sees the system, and of people pseudonyms and states only."""
    AUDITOR = "auditor"
    """Checks who looked at what, and erases people: sees the system, audit events and erasures, and no person."""


class Permission(StrEnum):
    """What a route lets one do."""

    PUBLIC = "public"
    """What anybody may ask for: sign-in, health of the process, style sheets and scripts."""
    ACCOUNT = "account"
    """One's own session."""
    CASELOAD = "caseload"
    """Who is followed and in which state: pseudonyms and states to an operator, with scores to a clinician."""
    PERSON = "person"
    """One person's scores, markers, episodes and notes."""
    ACT = "act"
    """Acknowledge, hand over, note, mute, mark."""
    EXPORT = "export"
    """Take one person's data away as a file."""
    UPLOAD = "upload"
    """Submit memos and see how far they are."""
    SYSTEM = "system"
    """Throughput, lag, dead letters, budgets: counts without persons."""
    REDRIVE = "redrive"
    """Send records of dead letters back to their topics."""
    AUDIT = "audit"
    """Who looked at what."""
    ERASE = "erase"
    """Erase a person, and see how far erasures are, which name no one."""
    FHIR = "fhir"
    """One person's scores as FHIR resources."""


GRANTS: Mapping[Permission, frozenset[StaffRole]] = {
    Permission.PUBLIC: frozenset(StaffRole),
    Permission.ACCOUNT: frozenset(StaffRole),
    Permission.CASELOAD: frozenset({StaffRole.CLINICIAN, StaffRole.OPERATOR}),
    Permission.PERSON: frozenset({StaffRole.CLINICIAN}),
    Permission.ACT: frozenset({StaffRole.CLINICIAN}),
    Permission.EXPORT: frozenset({StaffRole.CLINICIAN}),
    Permission.UPLOAD: frozenset({StaffRole.CLINICIAN, StaffRole.OPERATOR}),
    Permission.SYSTEM: frozenset(StaffRole),
    Permission.REDRIVE: frozenset({StaffRole.OPERATOR}),
    Permission.AUDIT: frozenset({StaffRole.AUDITOR}),
    Permission.ERASE: frozenset({StaffRole.AUDITOR}),
    Permission.FHIR: frozenset({StaffRole.CLINICIAN}),
}
"""Which roles have which permission."""


def granted(permission: Permission, roles: Collection[StaffRole]) -> bool:
    """Whether one of the roles has the permission."""
    return bool(GRANTS[permission].intersection(roles))

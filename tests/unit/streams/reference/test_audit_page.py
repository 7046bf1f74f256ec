"""The page of the audit trail, and its tables."""

from pathlib import Path

import pytest

from streams.access.permissions import ROUTES, Permission
from streams.audit.commands import COMMANDS
from streams.reference.audit_page import PAGE, audit_page, main


def test_the_page_in_the_tree_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == audit_page(), "run `make schemas`"


def test_the_check_fails_for_a_page_that_is_out_of_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "audit.md"
    assert main(["--check"], page) == 1
    assert "out of date" in capsys.readouterr().err
    assert main([], page) == 0
    assert main(["--check"], page) == 0


def test_every_route_and_every_command_is_on_it() -> None:
    page = audit_page()
    assert all(f"| `{method} {path}` |" in page for method, path in ROUTES)
    assert all(f"| `{command}` |" in page for command in COMMANDS)


def test_every_route_to_a_person_leaves_an_event() -> None:
    of_people = {Permission.CASELOAD, Permission.PERSON, Permission.ACT, Permission.EXPORT, Permission.FHIR}
    assert all(row.audited for row in ROUTES.values() if row.permission in of_people)

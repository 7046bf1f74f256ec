"""The table of patients: its form, its errors without content, and a file that changes."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from streams.fhir.patients import Patients, read_patients

HEAD = "pseudonym,patient\n"


def test_a_row_names_a_patient_on_the_server_or_by_address() -> None:
    table = read_patients(
        f'{HEAD}u1,Patient/1\n\n"a,b",https://fhir.example/r4/Patient/x.2\n'.splitlines(keepends=True)
    )
    assert table == {"u1": "Patient/1", "a,b": "https://fhir.example/r4/Patient/x.2"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "line 1 must be `pseudonym,patient`"),
        ("u1,Patient/1\n", "line 1 must be"),
        (f"{HEAD}u1\n", "line 2 must be a pseudonym and a patient"),
        (f"{HEAD},Patient/1\n", "line 2"),
        (f"{HEAD}u1,Patient/1\nu2,4711\n", "line 3: write the patient as Patient/ID"),
        (f"{HEAD}u1,Group/1\n", "line 2"),
        (f"{HEAD}u1,Patient/../x\n", "line 2"),
        (f"{HEAD}u1,Patient/1\nu1,Patient/2\n", "line 3: this pseudonym has a row already"),
        (f'{HEAD}u1,"Patient/1\n', "is not CSV"),
    ],
)
def test_an_error_names_the_line_and_no_content(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as refused:
        read_patients(text.splitlines(keepends=True))
    assert "u1" not in str(refused.value)
    assert "4711" not in str(refused.value)


def replaced(path: Path, text: str | bytes) -> None:
    """Another file under the same name, as editors and Kubernetes do it."""
    new = path.with_suffix(".new")
    new.write_bytes(text if isinstance(text, bytes) else text.encode())
    new.replace(path)


def test_a_changed_file_is_read_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(f"\ufeff{HEAD}u1,Patient/1\n")
    patients = Patients(path)
    assert (patients.reference("u1"), patients.reference("u2")) == ("Patient/1", None)
    replaced(path, f"{HEAD}u2,Patient/2\n")
    assert (patients.reference("u1"), patients.reference("u2")) == (None, "Patient/2")
    for broken in ("u3,Patient/3", b"pseudonym,patient\n\xff,Patient/3\n"):
        replaced(path, broken)
        assert patients.reference("u2") == "Patient/2"
        assert patients.problem.startswith("the table of patients: line")
    path.unlink()
    assert patients.reference("u2") == "Patient/2"
    assert patients.problem
    replaced(path, f"{HEAD}u2,Patient/4\n")
    assert patients.reference("u2") == "Patient/4"
    assert patients.problem == ""


def test_a_missing_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Patients(tmp_path / "none.csv")

"""Settings, addresses and the meaning of answers of the FHIR bridge; requests are tested with a real server."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.fhir.elements import patient
from streams.fhir.flag import flag
from streams.notify.fhir import Fhir, conditional_update, is_refusal
from tests.unit.streams.fhir.resources import step

URL = "https://fhir.example/r4"


def settings_with(table: Path, **changes: Any) -> Settings:
    return Settings.load(**{"fhir_url": URL, "fhir_patients": table, **changes})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "patients.csv"
    path.write_text("pseudonym,patient\nuser-1,Patient/42\n")
    return path


def test_address_and_table_are_needed(table: Path, tmp_path: Path) -> None:
    Fhir(settings_with(table))
    for changes, named in (
        ({"fhir_url": None}, "UNDERTONE_FHIR_URL is not set"),
        ({"fhir_patients": None}, "UNDERTONE_FHIR_PATIENTS is not set"),
        ({"fhir_patients": tmp_path / "none.csv"}, "UNDERTONE_FHIR_PATIENTS: the table of patients: No such file"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            Fhir(settings_with(table, **changes))
    table.write_text("user-1,Patient/42\n")
    with pytest.raises(ConfigurationError, match="line 1 must be") as refused:
        Fhir(settings_with(table))
    assert "user-1" not in str(refused.value)


def test_printed_settings_show_neither_address_nor_token() -> None:
    shown = repr(Settings.load(fhir_url="https://s3cret.example", fhir_token="s3cret"))
    assert "s3cret" not in shown


def test_a_resource_is_put_where_its_identifier_is() -> None:
    resource = flag(step(dedup_key="a|b,c$d"), patient("Patient/42"))
    url, body = conditional_update(URL, resource)
    parts = urlsplit(url)
    assert parts.path == "/r4/Flag"
    assert parse_qsl(parts.query) == [("identifier", r"urn:x-undertone:episode|a\|b\,c\$d")]
    stored = json.loads(body)
    assert "id" not in stored
    assert stored["identifier"] == [{"system": "urn:x-undertone:episode", "value": "a|b,c$d"}]


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        (400, True),
        (412, True),
        (422, True),
        (401, False),
        (404, False),
        (405, False),
        (409, False),
        (429, False),
        (503, False),
    ],
)
def test_only_what_can_never_be_stored_is_a_refusal(status: int, refused: bool) -> None:
    assert is_refusal(status, "") is refused

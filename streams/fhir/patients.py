"""Which patient a pseudonym is: a table that stays outside of Undertone, as a file that only the bridge reads.

CSV in UTF-8 with the columns `pseudonym` and `patient`; a patient is `Patient/ID` on the FHIR server, or the whole
address. No message names a row's content: the table is what makes pseudonyms persons.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from schemas.errors import ConfigurationError

COLUMNS = ["pseudonym", "patient"]
_PATIENT = re.compile(r"(?:https?://[^\s?#]+/)?Patient/[A-Za-z0-9.-]{1,64}")


def read_patients(lines: Iterable[str]) -> dict[str, str]:
    """References to patients by pseudonym. Raises ConfigurationError, which names the line and not what it holds."""
    rows = csv.reader(lines, strict=True)
    found: dict[str, str] = {}
    try:
        if next(rows, None) != COLUMNS:
            raise ConfigurationError(f"line 1 must be `{','.join(COLUMNS)}`")
        for row in rows:
            if not row:
                continue
            if len(row) != len(COLUMNS) or not row[0]:
                raise ConfigurationError(f"line {rows.line_num} must be a pseudonym and a patient")
            if not _PATIENT.fullmatch(row[1]):
                raise ConfigurationError(f"line {rows.line_num}: write the patient as Patient/ID or as its address")
            if row[0] in found:
                raise ConfigurationError(f"line {rows.line_num}: this pseudonym has a row already")
            found[row[0]] = row[1]
    except (csv.Error, UnicodeDecodeError):
        raise ConfigurationError(f"line {rows.line_num + 1} is not CSV in UTF-8") from None
    return found


class Patients:
    """The table in a file, read again when the file changes.

    A file that cannot be read later leaves the table as it was: `problem` then says why, until it can be read.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ConfigurationError."""
        self._path = path
        self._seen = self._signature()
        self._table: Mapping[str, str] = self._read()
        self.problem = ""

    def reference(self, user_id: str) -> str | None:
        """The patient of a pseudonym, None for one without a row."""
        self._renew()
        return self._table.get(user_id)

    def _renew(self) -> None:
        try:
            signature = self._signature()
            if signature != self._seen:
                self._table, self._seen = self._read(), signature
            self.problem = ""
        except ConfigurationError as error:
            self.problem = str(error)

    def _signature(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise ConfigurationError(f"the table of patients: {error.strerror}") from None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> Mapping[str, str]:
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                return read_patients(file)
        except OSError as error:
            raise ConfigurationError(f"the table of patients: {error.strerror}") from None
        except ConfigurationError as error:
            raise ConfigurationError(f"the table of patients: {error}") from None

"""Errors of a database: what passes is waited for, what an operator has to do is said, and no value is repeated."""

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from schemas.errors import ConfigurationError, Transient
from workers.sql.errors import Messages, is_refused, known_errors

MESSAGES = Messages("the key directory", "refused", "damaged", "no tables")


class Said(Exception):
    """What a driver raises."""

    def __init__(self, text: str, sqlstate: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


def of(kind: type[DBAPIError], text: str, sqlstate: str | None = None, *, lost: bool = False) -> DBAPIError:
    return kind("SELECT :name", {"name": "anna"}, Said(text, sqlstate), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("error", "meaning", "message"),
    [
        (PoolTimeout(), Transient, "the key directory answers too slowly"),
        (of(OperationalError, "server closed the connection"), Transient, r"does not answer \(Said\)"),
        (of(OperationalError, "canceled", "57014"), Transient, r"\(Said, SQLSTATE 57014\)"),
        (of(ProgrammingError, "gone", lost=True), Transient, "does not answer"),
        (of(OperationalError, 'role "anna" does not exist'), ConfigurationError, "refused"),
        (of(ProgrammingError, "permission denied for table", "42501"), ConfigurationError, "refused"),
        (of(DBAPIError, "file is not a database"), ConfigurationError, "damaged"),
        (of(OperationalError, "no such table: persons"), ConfigurationError, "no tables"),
        (of(ProgrammingError, 'relation "persons" does not exist', "42P01"), ConfigurationError, "no tables"),
    ],
)
def test_an_error_says_what_to_do_and_repeats_no_value(
    error: Exception, meaning: type[Exception], message: str
) -> None:
    with pytest.raises(meaning, match=message) as raised, known_errors(MESSAGES):
        raise error
    assert "anna" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_defect_stays_what_it_is() -> None:
    missing = of(ProgrammingError, 'relation "people" does not exist', "42P01")
    with pytest.raises(ProgrammingError), known_errors(Messages("the database", "refused", "damaged")):
        raise missing


def test_a_right_that_is_missing_is_told_from_other_errors() -> None:
    assert is_refused(of(ProgrammingError, "permission denied for function pg_switch_wal", "42501"))
    assert not is_refused(of(ProgrammingError, "syntax error", "42601"))
    assert not is_refused(of(OperationalError, "server closed the connection"))

"""The errors as other processes and supervisors see them."""

import pickle
from pathlib import Path

import pytest

from schemas import errors
from schemas.errors import Poison, Stop, Transient, UndertoneError

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook.md"
FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UndertoneError)]
STOPS = [kind for kind in FAMILY if issubclass(kind, Stop) and kind is not Stop]


def test_a_poison_crosses_processes_with_its_reason_and_detail() -> None:
    poison = pickle.loads(pickle.dumps(Poison("audio:undecodable", "no decoder reads these bytes")))
    assert isinstance(poison, Poison)
    assert (poison.reason, poison.detail) == ("audio:undecodable", "no decoder reads these bytes")
    assert str(poison) == "audio:undecodable: no decoder reads these bytes"


def test_an_error_leads_to_one_outcome_only() -> None:
    for kind in FAMILY:
        assert sum(issubclass(kind, outcome) for outcome in (Poison, Transient, Stop)) <= 1


@pytest.mark.parametrize("kind", STOPS)
def test_an_exit_code_tells_a_stop_from_a_crash_a_usage_error_and_a_signal(kind: type[Stop]) -> None:
    # 1 is an unhandled exception, 2 a wrong command line, 126 and more belong to the shell and to signals.
    assert 2 < kind.exit_code < 126


def test_supervisors_know_the_exit_codes() -> None:
    assert {kind.__name__: kind.exit_code for kind in STOPS} == {
        "DeadLetterCapReached": 70,
        "BrokerRefused": 77,
        "StoreRefused": 77,
        "ConfigurationError": 78,
    }


@pytest.mark.parametrize("kind", STOPS)
def test_the_runbook_explains_every_exit_code(kind: type[Stop]) -> None:
    assert str(kind.exit_code) in RUNBOOK.read_text()

"""What `undertone erase` refuses before it writes anything."""

import pytest
from typer.testing import CliRunner

from schemas.errors import ConfigurationError
from streams.cli.application import app
from streams.cli.privacy import erase


@pytest.mark.parametrize("said", [("--reason", "p-1 asked"), ("--reason", "asked", "--by", "T-p-1")], ids=repr)
def test_a_request_that_names_the_person_leaves_no_event(
    monkeypatch: pytest.MonkeyPatch, said: tuple[str, ...]
) -> None:
    """The audit trail would keep the pseudonym in clear."""
    recorded: list[object] = []
    monkeypatch.setattr(erase, "record", lambda *event: recorded.append(event))
    result = CliRunner().invoke(app, ["erase", "--user", "p-1", "--certificate", "none.json", *said])
    assert isinstance(result.exception, ConfigurationError)
    assert "leave the name out" in str(result.exception)
    assert recorded == []

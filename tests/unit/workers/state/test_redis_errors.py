"""Error answers by their code words: which pass, which end the process, and which are a defect of ours."""

import doctest

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser

from schemas.errors import ConfigurationError, StoreRefused, Transient
from workers.state import redis_errors
from workers.state.redis_errors import CLUSTERED, PASSING, REFUSING, code_of, translated


def answer(text: str) -> exceptions.RedisError:
    """The error that redis-py makes of an error line."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, exceptions.RedisError)
    return error


@pytest.mark.parametrize("code", sorted(PASSING))
def test_a_state_that_passes_is_retried_and_named(code: str) -> None:
    found = translated(answer(f"{code} the server's own words"))
    assert isinstance(found, Transient)
    assert f"Redis answers {code}: " in str(found)
    assert "own words" not in str(found)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ERR max number of clients reached", "MAXCLIENTS"),
        ("ERR max number of clients + cluster connections reached", "MAXCLIENTS"),
        ("-MISCONF Redis is configured to save RDB snapshots", "MISCONF"),
        ("LOADING", "LOADING"),
        ("ERR Error running script (call to f_12ab): @user_script:7: @user_script: 7: -READONLY You can't", "READONLY"),
        ("ERR Error running script (call to f_12ab): @user_script:7: -OOM command not allowed", "OOM"),
        ("THROTTLED a word of a server to come", "THROTTLED"),
    ],
)
def test_other_forms_of_a_passing_state(text: str, code: str) -> None:
    assert code_of(answer(text)) == code
    assert isinstance(translated(answer(text)), Transient)


@pytest.mark.parametrize(
    "text",
    [
        *(f"{code} no" for code in sorted(REFUSING)),
        "ERR invalid password",
        "ERR Client sent AUTH, but no password is set",
    ],
)
def test_a_refusal_ends_the_process(text: str) -> None:
    assert isinstance(translated(answer(text)), StoreRefused)


@pytest.mark.parametrize("text", [f"{code} 3999 127.0.0.1:6381" for code in sorted(CLUSTERED)])
def test_a_cluster_is_a_fault_of_the_settings(text: str) -> None:
    found = translated(answer(text))
    assert isinstance(found, ConfigurationError)
    assert "REDIS_URL" in str(found)
    assert "127.0.0.1" not in str(found)


@pytest.mark.parametrize(
    "text", ["ERR syntax error", "ERR unknown command 'BUSY '", "WRONGTYPE Operation against a key"]
)
def test_any_other_answer_is_a_defect(text: str) -> None:
    assert translated(answer(text)) is None


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("Error -3 connecting to redis.example:6379. Temporary failure in name resolution."),
        exceptions.TimeoutError("Timeout reading from redis.example:6379"),
        exceptions.MaxConnectionsError("Too many connections"),
        exceptions.InvalidResponse("Protocol Error: HTTP"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
)
def test_a_server_that_does_not_answer_is_retried_without_its_address(error: Exception) -> None:
    found = translated(error)
    assert isinstance(found, Transient)
    assert type(error).__name__ in str(found) or "closed the connection" in str(found)
    assert "redis.example" not in str(found)


def test_a_refusal_is_found_below_an_error_of_the_connection() -> None:
    error = exceptions.ConnectionError("could not connect")
    error.__cause__ = answer("WRONGPASS invalid username-password pair or user is disabled.")
    assert isinstance(translated(error), StoreRefused)


def test_the_examples() -> None:
    assert doctest.testmod(redis_errors).failed == 0

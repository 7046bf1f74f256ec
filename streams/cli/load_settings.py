"""Settings for a command, with a warning about variables that look like one and are none."""

from functools import cache
from typing import TYPE_CHECKING

from streams.cli.printing import warn

if TYPE_CHECKING:
    from schemas.settings import Settings


def load_settings(**overrides: object) -> "Settings":
    """Settings from the environment and the command's options. Loads pydantic, so help never comes here.

    Raises ConfigurationError as `Settings.load`. Processes of the pipeline call that one: they log what this prints.
    """
    from schemas.settings import Settings, ignored_variables

    for sentence in ignored_variables():
        _warn_once(sentence)
    return Settings.load(**overrides)


@cache
def _warn_once(sentence: str) -> None:
    warn(sentence)

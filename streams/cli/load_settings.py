"""Settings for a command, with a warning about variables that look like one and are none."""

from functools import cache
from typing import TYPE_CHECKING

from schemas.bundle_manifest import encoder_of, left_out, needs_of
from schemas.errors import ConfigurationError
from schemas.events import Modality
from streams.cli.printing import warn
from streams.terminal.arguments import bundle_fault

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


def check_bundle(settings: "Settings") -> None:
    """Raises ConfigurationError when UNDERTONE_BUNDLE is no folder with the files of a bundle; loads no model."""
    if fault := bundle_fault(settings.bundle):
        raise ConfigurationError(f"UNDERTONE_BUNDLE cannot be used: {fault}; set it to the folder of a complete bundle")


def check_scoring(settings: "Settings") -> None:
    """As `check_bundle`; also raises it when the modalities are none of the bundle's, or embeddings lack an encoder."""
    check_bundle(settings)
    if needs := needs_of(settings.bundle):
        left_out(needs.modalities, settings.modalities)
    if Modality.EMBEDDING in settings.modalities:
        encoder_of(settings.bundle, settings.encoder)


@cache
def _warn_once(sentence: str) -> None:
    warn(sentence)

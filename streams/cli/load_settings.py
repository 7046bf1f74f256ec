"""Settings for a command, with a warning about variables that look like one and are none; what their model loads."""

import fcntl
import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.bundle_manifest import encoder_of, left_out, needs_of
from schemas.errors import ConfigurationError
from schemas.events import Modality
from schemas.pipeline import Implementation, feature_stages
from streams.cli.printing import warn
from streams.terminal.arguments import bundle_fault

if TYPE_CHECKING:
    from schemas.settings import Settings

PROGRAMS = "programs"
"""Folder in the home with the encoder's compiled programs."""


def load_settings(**overrides: object) -> "Settings":
    """Settings from the environment and the command's options. Loads pydantic, so help never comes here.

    Where no setting says whether data is sealed, the home does. Raises ConfigurationError as `Settings.load`. Processes
    of the pipeline call that one: they log what this prints.
    """
    from schemas.settings import Settings, ignored_variables
    from streams.local.privacy.default_sealing import sealed_as_home

    for sentence in ignored_variables():
        _warn_once(sentence)
    settings = sealed_as_home(Settings.load(**overrides))
    if settings.seal == "on" or settings.key_directory_url is not None:
        from workers.privacy.key_requests import wait_as_a_command

        wait_as_a_command()
    return settings


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


def with_kept_programs(settings: "Settings") -> "Settings":
    """The settings, with the encoder's compiled programs kept in the home unless a setting names a place.

    Compiling takes longer than all else that one memo needs. The folder is for one process at a time: another one
    compiles its own, as does one whose home cannot be written or has spaces in its path, which TensorFlow refuses.
    """
    from streams.local.private_files import private_folder
    from workers.service.private_files import private_opener

    folder = (settings.home / PROGRAMS).absolute()
    if settings.program_cache is not None or any(character.isspace() for character in str(folder)):
        return settings
    try:
        lock = private_opener(str(private_folder(folder) / "lock"), os.O_WRONLY | os.O_CREAT)  # open until the end
    except (OSError, ConfigurationError):
        return settings
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return settings
    return settings.model_copy(update={"program_cache": folder})


@cache
def _warn_once(sentence: str) -> None:
    warn(sentence)


def import_tensorflow_for(
    settings: "Settings", modalities: Collection[Modality] = (), bundle: Path | None = None
) -> None:
    """Import TensorFlow, which takes seconds, where it is used: by the encoder, or by a neural head of the bundle.

    bundle: its folder. Raises ConfigurationError for a bundle that cannot be used, or without any engine.
    """
    encoder = any(stage.implementation is Implementation.WAV2VEC2 for stage in feature_stages(modalities))
    if encoder and _on_tensorflow(settings):
        _import_tensorflow()
    elif bundle is not None:
        import_tensorflow_for_head(bundle)


def import_tensorflow_for_head(bundle: Path) -> None:
    """Import TensorFlow where the bundle in a folder has a neural head. Raises ConfigurationError as `head_kind`."""
    if _has_neural_head(bundle):
        _import_tensorflow()


def _import_tensorflow() -> None:
    from workers.service import quiet_tensorflow

    quiet_tensorflow.import_tensorflow()


def _on_tensorflow(settings: "Settings") -> bool:
    from workers.wav2vec2.engines.choice import chosen

    return chosen(settings).engine == "xla"


def _has_neural_head(bundle: Path) -> bool:
    from workers.scoring.bundle import head_kind
    from workers.scoring.heads import NEURAL

    return head_kind(bundle) in NEURAL

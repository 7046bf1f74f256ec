"""Imports TensorFlow without its start-up messages, which hide what an operator should read.

It writes a dozen lines to standard error before any log level takes effect (TensorFlow issue 100442). Later it warns of
a program that is compiled for many shapes; the embedder compiles one for each length on purpose.
"""

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from schemas.events import Modality
from schemas.pipeline import Implementation, feature_stages


def import_tensorflow_for(modalities: Collection[Modality] = (), bundle: Path | None = None) -> None:
    """Import TensorFlow where it is used: by the encoder, or by a neural head of the bundle in a folder.

    Raises ConfigurationError for a bundle that cannot be used.
    """
    encoder = any(stage.implementation is Implementation.WAV2VEC2 for stage in feature_stages(modalities))
    if encoder or (bundle is not None and _has_neural_head(bundle)):
        import_tensorflow()


def _has_neural_head(bundle: Path) -> bool:
    from workers.scoring.bundle import head_kind
    from workers.scoring.heads import NEURAL

    return head_kind(bundle) in NEURAL


def import_tensorflow() -> None:
    """Import TensorFlow once, suppressing its output; a failed import shows all of it."""
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as output:
        kept = os.dup(2)
        os.dup2(output.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except BaseException:
            output.seek(0)
            os.write(kept, output.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())

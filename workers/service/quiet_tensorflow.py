"""Imports TensorFlow without its start-up messages, which hide what an operator should read.

It writes a dozen lines to standard error before any log level takes effect (TensorFlow issue 100442). Later it warns of
a program that is compiled for many shapes; the embedder compiles one for each length on purpose.
"""

import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = ("matplotlib", "pandas", "sklearn")
"""Keras loads them, in a quarter of its time, for parts that nothing here uses, and does without where it must."""


def import_tensorflow() -> None:
    """Import TensorFlow once, suppressing its output; a failed import shows all of it."""
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # later messages, but for errors
    sys.stderr.flush()
    with tempfile.TemporaryFile() as output:
        kept = os.dup(2)
        os.dup2(output.fileno(), 2)
        try:
            with _not_installed(*UNUSED):
                importlib.import_module("tensorflow")
        except BaseException:
            output.seek(0)
            os.write(kept, output.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    logger = logging.getLogger("tensorflow")
    logger.addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    logger.handlers.clear()  # it writes past the format of this process's own log
    logger.propagate = True


@contextmanager
def _not_installed(*libraries: str) -> Iterator[None]:
    """Inside the block these libraries count as not installed, but for those that are loaded already."""
    hidden = [library for library in libraries if library not in sys.modules]
    for library in hidden:
        sys.modules[library] = None  # type: ignore[assignment]  # how Python says that an import fails
    try:
        yield
    finally:
        for library in hidden:
            del sys.modules[library]

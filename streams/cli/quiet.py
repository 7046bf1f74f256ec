"""Importing TensorFlow without its greeting.

It writes a dozen lines to standard error before any setting of its log level can take effect, which hides what an
operator should read (TensorFlow issue 100442).
"""

import importlib
import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Import TensorFlow once, holding back what it prints; an import that fails shows all of it."""
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as greeting:
        kept = os.dup(2)
        os.dup2(greeting.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except BaseException:
            greeting.seek(0)
            os.write(kept, greeting.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

"""Hides settings in the environment from this process and those that it starts."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from schemas.settings import is_setting


@contextmanager
def settings_hidden(kept: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Take every setting out of the environment while the context is open; gives their names, in order.

    kept: variables that stay. The folder of secrets, `UNDERTONE_SECRETS_DIR`, is hidden as well.
    """
    hidden = {name: os.environ.pop(name) for name in sorted(os.environ) if is_setting(name) and name not in kept}
    try:
        yield tuple(hidden)
    finally:
        os.environ.update(hidden)

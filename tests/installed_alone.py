"""`python -m tests.installed_alone REQUIREMENTS worker embedding`: `undertone` with nothing but those installed.

Modules of every other distribution of this environment are hidden: `import` and `find_spec` do not find them.
"""

import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.utils import canonicalize_name

OWN = "undertone-voice"


def required(requirements: Path) -> frozenset[str]:
    """Names of the distributions that a file of hashed requirements pins."""
    return frozenset(
        canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", requirements.read_text(), re.MULTILINE)
    )


def hidden(requirements: Path) -> frozenset[str]:
    """Top-level modules that only distributions have which are not required."""
    wanted = required(requirements) | {OWN}
    return frozenset(
        module
        for module, distributions in packages_distributions().items()
        if not wanted & {canonicalize_name(name) for name in distributions}
    )


class Hiding:
    """Finds what other finders find, but for some top-level modules."""

    def __init__(self, modules: frozenset[str], finders: Sequence[Any]) -> None:
        self._modules, self._finders = modules, finders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As in importlib.abc.MetaPathFinder."""
        if name.partition(".")[0] in self._modules:
            return None
        found = (finder.find_spec(name, path, target) for finder in self._finders)
        return next((spec for spec in found if spec is not None), None)


if __name__ == "__main__":
    _, file, *arguments = sys.argv
    sys.meta_path[:] = [Hiding(hidden(Path(file)), list(sys.meta_path))]
    sys.argv = ["undertone", *arguments]

    from streams.cli import main

    main()

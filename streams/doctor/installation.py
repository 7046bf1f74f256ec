"""Whether Python and the libraries are those that Undertone was made for."""

import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from schemas.settings import Settings
from streams.doctor.finding import Finding, failed, ok, skipped

DISTRIBUTION = "undertone"
SHOWN = ("aiokafka", "faust-streaming", "redis", "tensorflow", "keras", "opensmile", "av", "numpy")
"""Libraries whose version is printed; all of them are compared."""
AGAIN = "install the locked versions again: `make setup`"


def python(settings: Settings) -> Finding:
    """The interpreter against `requires-python`."""
    found = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    if found not in SpecifierSet(wanted):
        return failed(f"Python {found}, and Undertone needs {wanted}", f"use a Python that is {wanted}")
    return ok(f"{found} at a version that is {wanted}")


def libraries(settings: Settings) -> Finding:
    """Every required library is there, in a version that the requirement accepts."""
    wrong = []
    for line in metadata.requires(DISTRIBUTION) or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    if wrong:
        return failed("; ".join(wrong), AGAIN)
    return ok(", ".join(f"{name} {metadata.version(name)}" for name in SHOWN))


def version(settings: Settings) -> Finding:
    """The version of Undertone itself."""
    try:
        return ok(metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        return skipped("Undertone is not installed as a distribution", "install it: `pip install .`")

"""Programs that some tests need on the machine, such as compilers and package managers."""

import re
import shutil
import subprocess

import pytest

from tests.servers import required


def version(program: str, *arguments: str) -> tuple[int, ...]:
    """Of a program on this machine; empty when there is none."""
    if shutil.which(program) is None:
        return ()
    said = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said.stdout + said.stderr)
    return tuple(int(number or 0) for number in found.groups()) if found else ()


def need(program: str, least: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Skip where a program is missing or too old, or fail where it must be there."""
    if found >= least:
        return
    reason = f"needs {program} {'.'.join(map(str, least))} or newer, found {'.'.join(map(str, found)) or 'none'}"
    if required("clients"):
        pytest.fail(f"UNDERTONE_REQUIRE names clients: {reason}")
    pytest.skip(reason)

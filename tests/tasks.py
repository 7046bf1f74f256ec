"""Follows the pages in a fresh clone: runs the blocks of a task one after another, as a reader would in a terminal."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pathspec import GitIgnoreSpec

from tests.pages import COMMANDS, ROOT, Block, steps

TASKS: Mapping[str, str] = {
    "quickstart": "submit a memo, and see what became of it",
    "score": "score own memos",
    "train": "train, then score with the trained bundle",
    "evaluate": "evaluate a bundle",
    "budget": "choose a budget",
    "connect": "start with an own Kafka, and see the first score",
    "subscribe-java": "subscribe in Java",
    "produce-typescript": "produce from TypeScript",
    "mute": "mute a user",
    "redrive": "redrive a dead letter",
    "detector": "use DriftMonitor in six lines",
}
"""What a reader wants to do. A block of a page is a step of one by `task=NAME`."""
TERMINALS = "terminals"
STEP_S = 500
"""Longer than any step takes on a slow machine: only what hangs is ended by it."""


class Reader:
    """Somebody with a fresh clone and these pages: `with Reader(folder, {}) as reader: reader.follow("score")`.

    folder: becomes the clone; placeholders: addresses and folders that the pages give as examples, and what they are.
    What one step exports, the later ones see. Processes of terminals end with the reader.
    """

    def __init__(self, folder: Path, placeholders: Mapping[str, str]) -> None:
        self.folder, self.placeholders = folder, dict(placeholders)
        shutil.copytree(ROOT, folder, ignore=_ignored)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERTONE_")}
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "UNDERTONE_HOME": str(folder / ".undertone" / "home"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "COLUMNS": "200",
        }
        self.terminals: list[subprocess.Popen[bytes]] = []
        self.printed: dict[str, list[str]] = {}
        """What every step of a task printed, of one of terminals nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.terminals:
            process.terminate()
        for process in self.terminals:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def follow(self, task: str) -> list[str]:
        """Run every block of a task. Returns what each printed, and keeps it in `printed`."""
        found = steps(task)
        assert found, f"no block of a page is a step of {task}"
        printed = [self._open_terminals(one) if TERMINALS in one.words else self._run(one) for one in found]
        self.printed[task] = printed
        return printed

    def logs(self) -> str:
        """The last lines of every terminal."""
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("terminal-*.log")))

    def run(self, script: str) -> str:
        """What a script of the shell prints. Fails with its errors when a command does."""
        after = self.folder / ".undertone" / "environment"
        after.parent.mkdir(exist_ok=True)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'{self._here(script)}\nenv -0 > "{after}"'],
            cwd=self.folder,
            env=self.environment,
            timeout=STEP_S,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{self.logs()}"
        pairs = (pair.partition("=") for pair in after.read_text().split("\0") if pair)
        self.environment = {name: value for name, _, value in pairs}
        return done.stdout

    def _run(self, one: Block) -> str:
        if one.language in COMMANDS:
            return self.run(one.text)
        (self.folder / "step.py").write_text(self._here(one.text))
        return self.run("python step.py")

    def _open_terminals(self, one: Block) -> str:
        for line in filter(None, (line.partition("#")[0].strip() for line in one.text.splitlines())):
            path = self.folder / f"terminal-{len(self.terminals)}.log"
            with path.open("wb") as log:
                command = ["bash", "-c", f"exec {self._here(line)}"]
                process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
            self.terminals.append(process)
        return ""

    def _here(self, text: str) -> str:
        for example, actual in self.placeholders.items():
            text = text.replace(example, actual)
        return text


def _ignored(folder: str, names: Sequence[str]) -> Sequence[str]:
    """What of a folder no clone has."""
    spec = GitIgnoreSpec.from_lines([".git", "/shared", *(ROOT / ".gitignore").read_text().splitlines()])
    paths = {name: Path(folder, name) for name in names}
    return [
        name for name, path in paths.items() if spec.match_file(f"{path.relative_to(ROOT)}{os.sep * path.is_dir()}")
    ]

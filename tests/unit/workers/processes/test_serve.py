"""A child ends with its parent, however that ends."""

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

from workers.processes.serve import until_the_parent_ends

PARENT = """
import threading
from workers.processes.child import Child
print(Child("tests.unit.workers.processes.echo").pid, flush=True)
threading.Event().wait()
"""


def ended(pid: int) -> bool:
    """Whether it has ended; a zombie whose new parent has not looked at it yet has ended as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_ends_when_its_parent_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not ended(pid)
        parent.kill()
    while not ended(pid):  # pytest's timeout ends the wait for one that lives on
        os.sched_yield()


def test_to_answer_a_parent_that_has_ended_is_no_error() -> None:
    """Before its first word, too: a parent that Ctrl-C ends may just have started it."""
    ours, theirs = Pipe()
    theirs.close()
    with until_the_parent_ends():
        ours.send_bytes(b"ready")
        raise AssertionError("it was sent")
    with until_the_parent_ends():
        ours.recv_bytes()
        raise AssertionError("something came")
    ours.close()

"""A child for tests: answers a number with its double, sleeps at 0, ends at -1."""

import os
import threading

from workers.processes.child import READY
from workers.processes.serve import attached

if __name__ == "__main__":
    connection = attached()
    connection.send_bytes(READY)
    while True:
        number = connection.recv()
        if number < 0:
            os._exit(9)
        if number == 0:
            threading.Event().wait()
        connection.send(2 * number)

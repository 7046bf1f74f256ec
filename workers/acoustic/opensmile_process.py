"""The child process that runs openSMILE: `python -m workers.acoustic.opensmile_process`, started by `process_pool`.

It extracts one signal at a time, and imports what the extraction needs: openSMILE has aborted in one process with
TensorFlow, librdkafka and FFmpeg.
"""

from multiprocessing.connection import Connection

from schemas.events import FloatArray
from workers.acoustic.extraction import AcousticFeatures, extract
from workers.processes.child import READY
from workers.processes.serve import attached, until_the_parent_ends


def outcome(signal: FloatArray, window_s: float) -> AcousticFeatures | Exception:
    """Features of a signal, or the error that its extraction raises, for the parent to raise."""
    try:
        return extract(signal, window_s)
    except Exception as error:
        return error


def serve(connection: Connection) -> None:
    """Answer (signal, window_s) with an outcome, one after another, until the parent closes the connection."""
    with until_the_parent_ends():
        connection.send_bytes(READY)
        while True:
            connection.send(outcome(*connection.recv()))


if __name__ == "__main__":
    serve(attached())

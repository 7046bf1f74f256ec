"""What parent and child say to each other; `test_decoder_pool.py` runs real children."""

import json
from contextlib import suppress
from multiprocessing import Pipe
from threading import Thread

import numpy as np
import pytest

from schemas.errors import Poison
from workers.audio.decode import Decoded
from workers.audio.decoder_process import CHUNK_BYTES, Request, outcome_header, outcome_of, receive, send

SIGNAL = np.linspace(-1, 1, 1000, dtype=np.float32)


def test_an_outcome_is_the_same_on_the_other_side() -> None:
    sent = Decoded(SIGNAL, clipped=0.25, sampling_rate=8000, step=2.0**-15, channel="2:only_speech")
    header = json.loads(outcome_header(sent))
    assert header["samples"] == len(SIGNAL)
    got = outcome_of(header, SIGNAL)
    assert isinstance(got, Decoded)
    assert (got.clipped, got.sampling_rate, got.step, got.channel) == (0.25, 8000, 2.0**-15, "2:only_speech")


def test_poison_is_the_same_on_the_other_side() -> None:
    got = outcome_of(json.loads(outcome_header(Poison("audio:empty", "no bytes"))), SIGNAL)
    assert isinstance(got, Poison)
    assert (got.reason, got.detail) == ("audio:empty", "no bytes")


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5])
def test_bytes_travel_in_chunks(size: int) -> None:
    here, there = Pipe()
    data = np.random.default_rng(0).bytes(size)
    got = bytearray(size)
    sender = Thread(target=send, args=(here, memoryview(data)))
    sender.start()
    receive(there, memoryview(got))
    sender.join()
    here.close()
    there.close()
    assert bytes(got) == data


@pytest.mark.parametrize("sent", [CHUNK_BYTES + 1, 11])
def test_more_bytes_than_asked_for_are_an_error(sent: int) -> None:
    here, there = Pipe()

    def attempt() -> None:
        with suppress(OSError):  # the receiver hangs up
            here.send_bytes(bytes(sent))

    sender = Thread(target=attempt)
    sender.start()
    with pytest.raises((OSError, ValueError)):
        receive(there, memoryview(bytearray(10)))
    there.close()
    sender.join()
    here.close()


def test_a_longer_memo_may_cost_more_and_none_more_than_the_limit() -> None:
    request = Request(0, max_s=1800.0, min_s=0.1, cpu_s=60.0)
    allowed = [request.cpu_allowed_s(seconds) for seconds in (0.0, 10.0, 100.0, 1e6)]
    assert allowed == sorted(allowed)
    assert allowed[-1] == 60.0
    assert Request(0, 1800.0, 0.1, cpu_s=1.0).cpu_allowed_s(100.0) == 1.0

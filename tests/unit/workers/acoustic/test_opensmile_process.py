"""What the process that runs openSMILE answers; `test_stage.py` runs it."""

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

import numpy as np

from schemas.errors import Poison
from tests.unit.workers.acoustic.voices import buzz, silence
from workers.acoustic.extraction import AcousticFeatures, extract
from workers.acoustic.opensmile_process import serve
from workers.processes.child import READY


def test_it_answers_with_features_or_the_error_until_the_parent_hangs_up() -> None:
    here, there = Pipe()
    with ThreadPoolExecutor(1) as threads:
        served = threads.submit(serve, there)
        assert here.recv_bytes() == READY
        answers = []
        for signal in (buzz(150, 0.5), silence(0.01), None):
            here.send((signal, 15.0))
            answers.append(here.recv())
        here.close()
        served.result(30)
    there.close()
    good, short, defect = answers
    assert isinstance(good, AcousticFeatures)
    np.testing.assert_array_equal(good.summary, extract(buzz(150, 0.5)).summary)
    assert isinstance(short, Poison)
    assert short.reason == "acoustic:too_short"
    assert isinstance(defect, AttributeError | TypeError)

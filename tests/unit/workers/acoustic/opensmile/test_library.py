"""openSMILE's C interface without its package."""

import subprocess
import sys


def test_it_loads_no_pandas_and_no_audio_files() -> None:
    program = (
        "import sys, workers.acoustic.opensmile_pass; print({'pandas', 'audiofile', 'opensmile'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

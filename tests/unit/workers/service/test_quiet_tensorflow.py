"""TensorFlow's greeting is held back, and shown when the import fails. A module of the same name stands in for it."""

import subprocess
import sys
from pathlib import Path

GREETING = 'import os; os.write(2, b"a dozen lines of greeting\\n")\n'
START = f"import sys; sys.path[:0] = [{str(Path(__file__).parents[4])!r}, sys.argv[1]]; "


def run(folder: Path, module: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own whose TensorFlow is `module`."""
    (folder / "tensorflow.py").write_text(module)
    command = [sys.executable, "-c", f"{START}from workers.service.quiet_tensorflow import import_tensorflow; {code}"]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)


def test_the_greeting_is_held_back_and_later_lines_are_not(tmp_path: Path) -> None:
    code = "import_tensorflow(); sys.stderr.write('an error of ours\\n'); sys.exit('tensorflow' not in sys.modules)"
    done = run(tmp_path, GREETING, code)
    assert (done.returncode, done.stderr) == (0, "an error of ours\n")


def test_an_import_that_fails_shows_all_of_it(tmp_path: Path) -> None:
    done = run(tmp_path, f"{GREETING}raise ImportError('no such library')\n", "import_tensorflow()")
    assert done.returncode == 1
    assert "a dozen lines of greeting" in done.stderr
    assert "ImportError: no such library" in done.stderr


def test_a_second_import_does_nothing(tmp_path: Path) -> None:
    code = (
        "import_tensorflow(); import logging; import_tensorflow(); print(len(logging.getLogger('tensorflow').filters))"
    )
    assert run(tmp_path, GREETING, code).stdout == "1\n"


def test_warnings_of_retracing_are_dropped_and_others_kept(tmp_path: Path) -> None:
    code = (
        "import_tensorflow(); import logging; log = logging.getLogger('tensorflow'); "
        "log.warning('5 out of 5 calls triggered tf.function retracing'); log.warning('something else')"
    )
    assert run(tmp_path, GREETING, code).stderr == "something else\n"


def test_libraries_that_keras_can_do_without_are_not_loaded_and_stay_importable(tmp_path: Path) -> None:
    module = "try:\n    import sklearn\nexcept ImportError:\n    sklearn = None\n"
    code = "import_tensorflow(); import tensorflow, sklearn; sys.exit(tensorflow.sklearn is not None)"
    assert run(tmp_path, module, code).returncode == 0

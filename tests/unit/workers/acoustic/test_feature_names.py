"""Names and order of the features, which bundles and records hold by position."""

import subprocess
import sys

from schemas.markers import MARKER_NAMES
from workers.acoustic.feature_names import FEATURE_NAMES, FUNCTIONAL_NAMES, LLD_NAMES, MFCC_NAMES, WINDOW_NAMES


def test_there_are_as_many_as_egemaps_has_and_no_name_twice() -> None:
    for names, count in ((FUNCTIONAL_NAMES, 88), (LLD_NAMES, 25), (MFCC_NAMES, 13), (FEATURE_NAMES, 101)):
        assert len(names) == len(set(names)) == count


def test_a_summary_is_functionals_then_markers() -> None:
    assert FEATURE_NAMES[:88] == FUNCTIONAL_NAMES
    assert FEATURE_NAMES[88:] == MARKER_NAMES


def test_a_window_is_all_means_then_all_deviations_in_the_order_of_the_descriptors() -> None:
    described = (*LLD_NAMES, *MFCC_NAMES)
    assert WINDOW_NAMES[:38] == tuple(f"{name}_mean" for name in described)
    assert WINDOW_NAMES[38:] == tuple(f"{name}_sd" for name in described)


def test_mfccs_are_numbered_from_one() -> None:
    assert (MFCC_NAMES[0], MFCC_NAMES[-1]) == ("mfcc_sma3[1]", "mfcc_sma3[13]")


def test_names_load_without_opensmile() -> None:
    code = "import sys, workers.acoustic.feature_names; sys.exit('opensmile' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

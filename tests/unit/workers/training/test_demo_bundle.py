"""The shipped bundle's features are cached by what determines them: the script of a memo and the simulator."""

import pytest

from schemas.settings import Settings
from workers.training import demo_bundle
from workers.training.demo_bundle import CALM, OTHER, cohort_memos


def test_a_memo_is_cached_by_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    memos, again = (cohort_memos(Settings.load(), speakers=1) for _ in range(2))
    keys = [memo.key for memo in memos]
    assert len(set(keys)) == CALM + OTHER
    assert keys == [memo.key for memo in again]
    monkeypatch.setattr(demo_bundle, "_simulator", lambda: "a simulator that was edited")
    assert not set(keys) & {memo.key for memo in memos}

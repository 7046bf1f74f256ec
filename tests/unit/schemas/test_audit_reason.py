"""Reasons as audit events keep them."""

import pytest

from schemas.audit_reason import REASON_BYTES, kept_reason


@pytest.mark.parametrize(
    ("said", "kept"),
    [("asked to", "asked to"), (" a\x1b[31mb\n", "a[31mb"), ("\ud800", None), ("", None), ("\u202e \t", None)],
)
def test_what_cannot_be_printed_is_left_out(said: str, kept: str | None) -> None:
    assert kept_reason(said) == kept


def test_a_long_reason_is_cut_between_letters() -> None:
    kept = kept_reason("x" + "é" * REASON_BYTES)
    assert kept == "x" + "é" * ((REASON_BYTES - 1) // 2)

"""Which errors a record may have caused, and what becomes of such a record."""

import pytest

from schemas.errors import Poison, Stop, Transient
from workers.consumer.defects import defect, unexpected

SECRET = "a word of a user"


def test_what_is_raised_on_purpose_is_not_unexpected() -> None:
    assert unexpected(ValueError())
    assert not any(map(unexpected, (Poison("a:b", "c"), Transient("away"), Stop("no"))))


def test_the_log_says_where_and_not_what(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, int]()[SECRET]
    assert defect(caught.value, "fusion").reason == "defect:KeyError"
    assert "test_the_log_says_where" in caplog.text
    assert SECRET not in caplog.text

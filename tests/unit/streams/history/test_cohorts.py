from io import StringIO

import pytest

from schemas.errors import ConfigurationError
from streams.history.cohorts import cohort_of, read_members


def test_the_longest_prefix_wins() -> None:
    cohorts = {"n": "all", "north-": "north", "north-1": "ward"}
    assert [cohort_of(user, cohorts) for user in ("north-17", "north-2", "nobody", "south")] == [
        "ward", "north", "all", "",
    ]  # fmt: skip


def test_a_file_names_people_with_or_without_a_head() -> None:
    assert list(read_members(StringIO("user_id,cohort\na,ward\n\n b , north \n"))) == [("a", "ward"), ("b", "north")]
    assert list(read_members(StringIO("a,ward\n"))) == [("a", "ward")]


@pytest.mark.parametrize("text", ["a\n", "a,b\n,c\n", "a,b,c\n", "a,\n", "a,b\0\n"])
def test_a_line_that_is_wrong_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"line {text.count(chr(10))} "):
        list(read_members(StringIO(text)))

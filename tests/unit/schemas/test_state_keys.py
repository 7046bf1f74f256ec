"""The table of keys: the only place that makes them, and one way to carry a version in a value."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.settings import Settings
from schemas.state_keys import BASELINE, BASELINE_0_1, DRIFT, JOIN, PREFIX, STATE_KEYS, Kind, StateKey

ROOT = Path(__file__).parents[3]


def named(row: StateKey) -> str:
    return row.name


@pytest.mark.parametrize("row", STATE_KEYS, ids=named)
def test_every_row_says_all_that_an_operator_asks(row: StateKey) -> None:
    assert row.owner
    assert row.encoding
    assert row.meaning.endswith(".")
    for setting in re.findall(r"UNDERTONE_([A-Z_]+)", row.lifetime):
        assert setting.lower() in Settings.model_fields
    assert bool(row.versions) == (row.kind is Kind.VALUE)
    assert row.versions == tuple(sorted(row.versions))


def test_no_two_rows_make_the_same_keys() -> None:
    prefixes = Counter(row.prefix for row in STATE_KEYS)
    assert max(prefixes.values()) == 1
    assert not any(
        one.prefix.startswith(other.prefix) for one in STATE_KEYS for other in STATE_KEYS if one is not other
    )


def test_keys_are_those_that_0_1_wrote() -> None:
    assert PREFIX + DRIFT.key("anna") == "undertone:drift:{anna}"
    assert PREFIX + JOIN.key("anna", "m1") == "undertone:join:{anna}:m1"
    assert PREFIX + BASELINE_0_1.key("anna") == "undertone:undertone:baseline:{anna}"
    assert PREFIX + BASELINE.key("anna") == "undertone:baseline:{anna}"


names = st.text(st.sampled_from("ab:%{}257D"), max_size=6)


@given(st.tuples(names, names), st.tuples(names, names))
def test_different_memos_have_different_joins(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (JOIN.key(*one) == JOIN.key(*other)) == (one == other)
    assert (DRIFT.key(one[0]) == DRIFT.key(other[0])) == (one[0] == other[0])


def test_no_memo_is_in_the_place_of_another() -> None:
    assert JOIN.key("a", "x}:y") != JOIN.key("a}:x", "y")
    assert BASELINE.key("100%") == "baseline:{100%}"


@given(names.filter(bool))
def test_a_cluster_hashes_what_belongs_to_a_user_alike(user: str) -> None:
    """It hashes what is between the first brace and the first that closes one after it."""
    keys = [JOIN.key(user, "m}"), BASELINE.key(user), DRIFT.key(user)]
    assert len({(PREFIX + key).partition("{")[2].partition("}")[0] for key in keys}) == 1


def test_a_key_takes_as_many_names_as_its_pattern_has() -> None:
    with pytest.raises(ValueError, match="zip"):
        JOIN.key("anna")


def test_a_value_begins_with_its_version() -> None:
    assert JOIN.opened(JOIN.framed(b"body")) == (JOIN.version, b"body")
    assert JOIN.framed(b"")[0] == JOIN.version == max(JOIN.versions)


@pytest.mark.parametrize("data", [b"", b"\x00body", b"\x7fbody"])
def test_another_version_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ValueError, match="join of version"):
        JOIN.opened(data)


def test_every_row_that_holds_personal_data_and_is_keyed_by_user_hashes_to_the_slot_of_the_user() -> None:
    for row in STATE_KEYS:
        if "<user_id>" in row.pattern:
            assert row.personal
            assert "{<user_id>}" in row.pattern


def test_no_other_module_spells_a_key() -> None:
    """A key in another place would escape the page that tells operators what Redis holds."""
    spelt = re.compile("|".join(re.escape(row.prefix) for row in STATE_KEYS if ":" in row.prefix))
    for package in ("workers", "streams"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    assert not spelt.match(node.value), f"{path.relative_to(ROOT)}:{node.lineno} {node.value[:40]!r}"

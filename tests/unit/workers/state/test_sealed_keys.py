"""Keys at rest: one for each person and name, and none that is a key in clear as well."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.state_keys import BASELINE_0_1, DRIFT, JOIN, MUTES, QUARANTINE, STATE_KEYS, StateKey
from workers.state.sealed_keys import personal_key, sealed_key

SUBJECT = bytes(range(16))
NAMES = st.text("}%{:~72D5abc", min_size=1, max_size=9) | st.text(min_size=1, max_size=9)
ROWS = [row for row in STATE_KEYS if "<user_id>" in row.pattern]


def _token(name: str) -> str:
    return urlsafe_b64encode(name.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


def _name(token: str) -> str:
    return urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("utf-8", "surrogatepass")


def _key(row: StateKey, user: str, memo: str) -> str:
    return row.key(user, memo) if row is JOIN else row.key(user)


@settings(max_examples=50)
@given(st.sampled_from(ROWS), NAMES, NAMES, st.booleans())
def test_a_key_goes_to_rest_and_back_whatever_its_names_hold(
    row: StateKey, user: str, memo: str, quarantined: bool
) -> None:
    key = _key(row, user, memo)
    key = QUARANTINE.key(key) if quarantined else key
    clear = personal_key(key)
    assert clear is not None
    assert (clear.row, clear.user_id, clear.text) == (row, user, key)
    at_rest = sealed_key(clear.at_rest(SUBJECT, _token).text)
    assert at_rest is not None
    assert (at_rest.subject, at_rest.quarantined) == (SUBJECT, quarantined)
    assert at_rest.in_clear(user, _name) == clear


@settings(max_examples=50)
@given(st.sampled_from([row for row in ROWS if row is not BASELINE_0_1]), NAMES, NAMES)
def test_no_key_in_clear_is_one_at_rest(row: StateKey, user: str, memo: str) -> None:
    assert sealed_key(_key(row, user, memo)) is None


def test_a_pseudonym_that_looks_like_a_subject_is_a_pseudonym() -> None:
    assert sealed_key(DRIFT.key(SUBJECT.hex())) is None
    assert personal_key(f"drift:{{{SUBJECT.hex()}}}~") is None


def test_a_value_is_sealed_to_its_key_also_in_quarantine() -> None:
    clear = personal_key(QUARANTINE.key(JOIN.key("u", "m")))
    assert clear is not None
    at_rest = clear.at_rest(SUBJECT, _token)
    assert at_rest.text == f"quarantine:{at_rest.bound}"
    assert at_rest.bound == f"join:{{{SUBJECT.hex()}}}~:{_token('m')}"


def test_a_key_of_nobody_is_none() -> None:
    for key in (MUTES.key(), "drift-pool", "drift:{", "join:{a}", "quarantine:mutes", "", "other:{a}"):
        assert personal_key(key) is None
        assert sealed_key(key) is None


def test_every_row_with_a_pseudonym_can_be_at_rest() -> None:
    """The pseudonym is followed by the brace that a subject's mark takes the place of."""
    for row in ROWS:
        assert row.pattern.partition("<user_id>")[2].startswith("}")

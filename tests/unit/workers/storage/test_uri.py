"""A URI has one reading or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Poison
from workers.storage.uri import Place, place

HERE = place("https://audio.example/memos")


@pytest.mark.parametrize(
    "uri",
    [
        "https://audio.example/memos/a.wav",
        "HTTPS://Audio.Example/memos/a.wav",
        "https://audio.example:443/memos/a.wav",
        "https://audio.example:0443/memos/a.wav",
    ],
)
def test_hosts_are_compared_without_case_and_default_port(uri: str) -> None:
    assert place(uri) == Place("https", ("audio.example", "memos", "a.wav"))
    assert HERE.holds(place(uri))


@pytest.mark.parametrize(
    "uri",
    [
        "http://audio.example/memos/a.wav",
        "https://audio.example:8443/memos/a.wav",
        "https://audio.example.evil/memos/a.wav",
        "https://evil/audio.example/memos/a.wav",
        "https://audio.example/memos2/a.wav",
        "https://audio.example/Memos/a.wav",
        "https://[::1]/memos/a.wav",
        "https://127.0.0.1/memos/a.wav",
    ],
)
def test_another_place_is_not_held(uri: str) -> None:
    assert not HERE.holds(place(uri))


@pytest.mark.parametrize(
    "uri",
    [
        "https://audio.example/memos/../secret",
        "https://audio.example/memos/..;/secret",
        "https://audio.example/memos/..;a=b/secret",
        "https://audio.example/memos/%2e%2e/secret",
        "https://audio.example/memos/%2E%2E%2Fsecret",
        "https://audio.example/memos//secret",
        "https://audio.example/memos\\..\\secret",
        "https://audio.example/memos/a.wav?x=/../",
        "https://audio.example/memos/a.wav#x",
        "https://user@audio.example/memos/a.wav",
        "https://audio.example@evil/memos/a.wav",
        "https://user:password@audio.example/memos/a.wav",
        "https://audio.example./memos/a.wav",
        "https://audio.example:/memos/a.wav",
        "https://audio.example:0/memos/a.wav",
        "https://audio.example:65536/memos/a.wav",
        "https://audio.example:443:443/memos/a.wav",
        "https://audio。example/memos/a.wav",
        "https://audıo.example/memos/a.wav",
        "https://\u212aelvin.example/memos/a.wav",
        "\u212a3://audio.example/a.wav",
        "https:///memos/a.wav",
        "https://",
        "https://audio.example /memos/a.wav",
        "https://audio.example\t/memos/a.wav",
        "https://-audio.example/memos/a.wav",
    ],
)
def test_what_layers_may_read_differently_is_refused(uri: str) -> None:
    with pytest.raises(Poison) as refused:
        place(uri)
    assert refused.value.reason == "audio:uri_refused"
    assert "secret" not in str(refused.value)


def test_buckets_keep_their_case() -> None:
    assert place("s3://Bucket/A").parts == ("Bucket", "A")


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_poison(uri: str) -> None:
    reason = "audio:uri_refused"
    try:
        place(uri)
    except Poison as poison:
        reason = poison.reason
    assert reason == "audio:uri_refused"


@given(st.text(alphabet="aA.:;/%@\\?#[]0١ ", max_size=30))
def test_a_place_is_written_as_it_is_read(rest: str) -> None:
    try:
        found = place(f"http://{rest}")
    except Poison:
        return
    assert place(found.url) == found
    assert not {"", ".", ".."} & set(found.parts)

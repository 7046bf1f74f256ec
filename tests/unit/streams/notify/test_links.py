"""Links to the page of an episode."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from schemas.settings import Settings
from streams.notify.links import dashboard_of, episode_link


def test_without_a_dashboard_there_is_no_link() -> None:
    assert dashboard_of(Settings.load()) is None
    assert episode_link(None, "k") is None


@pytest.mark.parametrize("url", ["undertone.example", "ftp://undertone.example", "javascript:alert(1)", "https://"])
def test_an_address_that_no_browser_opens_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_DASHBOARD_URL"):
        dashboard_of(Settings.load(dashboard_url=url))


def test_an_address_may_have_a_path() -> None:
    dashboard = dashboard_of(Settings.load(dashboard_url="https://clinic.example/undertone/"))
    assert episode_link(dashboard, "k1") == "https://clinic.example/undertone/episodes/k1"


@given(st.text(min_size=1, max_size=40))
def test_a_key_is_one_segment_whatever_it_holds(key: str) -> None:
    link = episode_link("https://undertone.example", key)
    if link is None:
        assert key in {".", ".."}
        return
    parts = urlsplit(link)
    assert (parts.netloc, parts.query, parts.fragment) == ("undertone.example", "", "")
    assert parts.path.count("/") == 2
    assert unquote(parts.path.removeprefix("/episodes/")) == key
    assert link.isascii()

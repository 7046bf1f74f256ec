"""Pages: the frame in both languages, times in the viewer's zone, values shown as text."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fastapi import FastAPI, Request
from jinja2 import UndefinedError

from schemas.settings import Settings
from streams.access.roles import StaffRole
from streams.access.viewer import Channel, Viewer
from streams.web.pages import environment, page, zone_of
from tests.unit.streams.web.serving import services


def request(accept: str = "en", cookie: str = "") -> Request:
    headers = [(b"accept-language", accept.encode()), (b"cookie", cookie.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})


def shown(template: str, language: str = "en", **context: object) -> str:
    return environment(language).from_string(template).render(**context)


def test_the_frame_says_what_undertone_is_not_in_both_languages() -> None:
    english, german = (bytes(page(request(tag), "frame.html").body).decode() for tag in ("en", "de"))
    assert '<html lang="en">' in english
    assert "never a diagnosis" in english
    assert "Not for emergencies" in english
    assert '<html lang="de">' in german
    assert "nie eine Diagnose" in german
    assert "Nicht für Notfälle" in german


@pytest.mark.parametrize(
    ("role", "links"),
    [
        (StaffRole.CLINICIAN, {"/", "/system", "/try"}),
        (StaffRole.OPERATOR, {"/", "/system", "/try"}),
        (StaffRole.AUDITOR, {"/system", "/erasures"}),
    ],
)
def test_the_navigation_leads_where_the_viewer_may_go(role: StaffRole, links: set[str]) -> None:
    asking = request()
    asking.scope["state"] = {"viewer": Viewer("someone", frozenset({role}), channel=Channel.BEARER)}
    asking.scope["app"] = FastAPI()
    asking.app.state.services = services(Settings())
    text = bytes(page(asking, "frame.html").body).decode().split("<nav")[1].split("</nav>")[0]
    assert set(re.findall('href="([^"]*)"', text)) == links


def test_no_cache_keeps_a_page() -> None:
    assert page(request(), "frame.html").headers["cache-control"] == "no-store"


def test_a_page_has_no_inline_script_style_or_handler() -> None:
    text = bytes(page(request(), "frame.html").body).decode()
    assert "<script>" not in text
    assert "style=" not in text
    assert "onclick=" not in text


def test_times_are_in_the_viewers_zone_and_shown_with_it() -> None:

    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    at = ZoneInfo("Europe/Berlin")
    assert shown("{{ m|when }}", zone=at, m=moment) == (
        '<time datetime="2026-01-02T03:04:00+00:00">2 Jan 2026, 04:04 CET</time>'
    )
    ago = shown("{{ m|ago }}", "de", zone=at, m=moment, now=moment + timedelta(minutes=4))
    assert ">vor 4 Minuten</time>" in ago
    assert "04:04 MEZ" in ago
    assert shown("{{ none|when }} {{ none|ago }} {{ none|day }}", none=None) == "– – –"


def test_the_zone_of_a_cookie_counts_if_there_is_such_a_zone() -> None:
    assert zone_of(request(cookie="undertone_zone=Asia/Tokyo")).key == "Asia/Tokyo"
    assert zone_of(request(cookie="undertone_zone=../../etc")).key == "UTC"


def test_what_a_person_wrote_is_shown_as_text() -> None:
    assert shown("{{ note }}", note="<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"


def test_a_value_that_was_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        shown("{{ missing }}")

"""Every status has a page that says what to do."""

import pytest
from fastapi import Request

from streams.api.problems import ADVICE, Problem
from streams.web.error_pages import error_page


def request(method: str = "GET") -> Request:
    headers = [(b"accept-language", b"en")]
    return Request({"type": "http", "method": method, "path": "/people/x", "query_string": b"a=1", "headers": headers})


@pytest.mark.parametrize("status", sorted(ADVICE))
async def test_every_status_has_a_page_with_a_way_on(status: int) -> None:
    answer = await error_page(request(), Problem(status))
    text = bytes(answer.body).decode()
    assert answer.status_code == status
    assert "<h1>" in text
    assert 'href="/"' in text


async def test_what_may_pass_can_be_loaded_again_and_says_when() -> None:
    answer = await error_page(request(), Problem(503))
    assert 'href="/people/x?a=1"' in bytes(answer.body).decode()
    assert answer.headers["retry-after"]


async def test_a_form_that_was_not_stored_is_not_sent_again_by_a_link() -> None:
    text = bytes((await error_page(request("POST"), Problem(503))).body).decode()
    assert "was not stored" in text
    assert "/people/x" not in text.split("<main")[1]


async def test_the_detail_is_text() -> None:
    answer = await error_page(request(), Problem(400, detail="<script>alert(1)</script>"))
    assert "<script>alert" not in bytes(answer.body).decode()

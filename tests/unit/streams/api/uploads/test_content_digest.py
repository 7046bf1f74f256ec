"""Digests in headers: content that is not the declared one is refused."""

import base64
import hashlib

import pytest

from streams.api.problems import Problem
from streams.api.uploads.content_digest import MISMATCH, ContentDigest

CONTENT = b"a voice memo"


def encoded(algorithm: str, content: bytes = CONTENT) -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def check(headers: dict[str, str], content: bytes = CONTENT) -> None:
    digest = ContentDigest.of(headers)
    for at in range(0, len(content), 5):
        digest.update(content[at : at + 5])
    digest.check()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-digest": f"sha-256=:{encoded('sha256')}:"},
        {"content-digest": f"unixsum=:AAA=:, SHA-512=:{encoded('sha512')}:"},
        {"digest": f"SHA-256={encoded('sha256')}"},
    ],
)
def test_content_with_its_digest_is_taken(headers: dict[str, str]) -> None:
    check(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-digest": f"sha-256=:{encoded('sha256')}:"},
        {"content-digest": f"sha-512=:{encoded('sha512')}:"},
        {"digest": f"sha-256={encoded('sha256')}"},
        {"digest": f"sha-256={encoded('sha256', b'x')}", "content-digest": f"sha-512=:{encoded('sha512', b'x')}:"},
    ],
)
def test_other_content_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Problem, match="422") as refused:
        check(headers, CONTENT + b".")
    assert refused.value.kind == MISMATCH


@pytest.mark.parametrize("text", ["sha-256=abc", "sha-256=::", "sha-256=:!!!!:", "sha-256", "sha-256=:YQ:"])
def test_a_header_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="400"):
        check({"content-digest": text})

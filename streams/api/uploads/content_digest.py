"""Digests of a request's content by its headers `Content-Digest` (RFC 9530) and `Digest` (RFC 3230). Pure."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Self

from streams.api.problems import Problem

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
"""Those that are checked, and their names in hashlib; others are ignored, as the specification asks."""
MISMATCH = "/api/v1/problems/checksum"


class ContentDigest:
    """Checks content, as it arrives, against the digests that its headers give; there may be none."""

    def __init__(self, expected: Mapping[str, bytes]) -> None:
        self._expected = expected
        self._hashes = {name: hashlib.new(ALGORITHMS[name]) for name in expected}

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """The digests of these headers (names in lower case). Raises Problem 400 for one that cannot be read."""
        fields = [(headers.get("content-digest"), ":"), (headers.get("digest"), "")]
        return cls({name: value for text, mark in fields if text for name, value in _members(text, mark)})

    def update(self, data: bytes) -> None:
        """Take the next bytes of the content."""
        for each in self._hashes.values():
            each.update(data)

    def check(self) -> None:
        """The content is complete. Raises Problem 422 when it is not what was declared."""
        for name, each in self._hashes.items():
            if not hmac.compare_digest(each.digest(), self._expected[name]):
                raise mismatch(f"the {name} of its header")


def mismatch(expected: str) -> Problem:
    """The content is not what the client declared."""
    detail = f"The content that arrived is not the one with {expected}: upload it again."
    return Problem(422, "The checksum does not match", detail, MISMATCH)


def _members(text: str, mark: str) -> list[tuple[str, bytes]]:
    """Algorithm and digest of each member of a header. mark: what encloses the base64."""
    found = []
    for member in text.split(","):
        name, _, value = member.strip().partition("=")
        if name.lower() in ALGORITHMS:
            found.append((name.lower(), _decoded(value.strip(), mark)))
    return found


def _decoded(value: str, mark: str) -> bytes:
    enclosed = value.startswith(mark) and value.endswith(mark) and len(value) > 2 * len(mark)
    try:
        if enclosed:
            return base64.b64decode(value[len(mark) : len(value) - len(mark)], validate=True)
    except binascii.Error:
        pass
    raise Problem(400, detail="Write the header as `Content-Digest: sha-256=:BASE64:`.")

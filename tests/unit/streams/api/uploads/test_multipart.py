"""Forms as they arrive, cut anywhere."""

import pytest

from streams.api.problems import Problem
from streams.api.uploads.multipart import FIELD_BYTES, FIELDS, Form

BOUNDARY = "border"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
AUDIO = bytes(range(256)) * 5 + b"\r\n--bord"


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def end() -> bytes:
    return f"--{BOUNDARY}--\r\n".encode()


def parsed(body: bytes, step: int) -> tuple[bytes, dict[str, str]]:
    form, audio = Form(KIND, "audio"), b""
    for at in range(0, len(body), step):
        audio += form.feed(body[at : at + step])
    return audio, dict(form.finish())


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_the_file_comes_out_as_it_is_and_fields_before_and_after_it(step: int) -> None:
    body = (
        part("user_id", "änna".encode()) + part("audio", AUDIO, '; filename="a.webm"') + part("sha256", b"ab") + end()
    )
    assert parsed(body, step) == (AUDIO, {"user_id": "änna", "sha256": "ab"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (part("user_id", b"anna") + end(), 422),
        (part("audio", b"a") + part("audio", b"b") + end(), 422),
        (part("audio", AUDIO), 400),
        (part("audio", AUDIO)[:-10], 400),
        (b"no form at all", 400),
        (b"", 400),
        (part("audio", b"a") + part("user_id", b"a" * (FIELD_BYTES + 1)) + end(), 400),
        (part("audio", b"a") + part("user_id", b"\xff") + end(), 400),
        (b"".join(part(f"f{n}", b"") for n in range(FIELDS + 1)) + part("audio", b"a") + end(), 400),
        (f"--{BOUNDARY}\r\n".encode() + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 400),
    ],
)
def test_a_form_that_is_broken_or_too_large_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(Problem, match=str(status)):
        parsed(body, 50)


def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(Problem, match="400"):
        Form("multipart/form-data", "audio")

"""Uploads over HTTP: what is taken, what is refused, and that nothing of a failure is left behind."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fastapi import FastAPI, Request
from httpx import ASGITransport, AsyncClient, Response
from starlette.exceptions import HTTPException
from starlette.types import Message

from schemas.codec import Codec
from schemas.errors import Transient
from schemas.events import MemoUploaded
from schemas.settings import Settings
from streams.api.boundary import Boundary
from streams.api.problems import add_to
from streams.api.uploads.audio_store import Folder
from streams.api.uploads.progress import MemoProgress, Progress
from streams.api.uploads.receive import Uploads
from tests.unit.schemas.records import DEAD
from workers.service.prometheus import UPLOADS

MOST = 100_000
AT = "2026-03-01T10:30:00.123+01:00"


def recording(seconds: float = 0.2) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(16000 * seconds)), 16000, format="WAV")
    return file.getvalue()


AUDIO = recording()
WEBM = b"\x1a\x45\xdf\xa3" + bytes(200)


class Unread(MemoProgress):
    """Progress without a reader."""

    async def expect(self, memo: MemoUploaded) -> Progress:
        progress = self._known[memo.memo_id] = Progress(memo, 0.0)
        return progress


class World:
    """An application that takes uploads, the memos that Kafka got, and the folder of the audio."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent = folder, list[MemoUploaded]()
        self.fails: BaseException | None = None
        self.permitted, self.recorded = list[str](), list[str]()
        self.refuses, self.unrecorded = False, False
        settings = Settings()
        self.progress = Unread(settings, Codec())
        self.uploads = Uploads(Folder(folder), self.submit, self.progress, MOST)
        app = FastAPI()
        add_to(app)
        app.add_middleware(Boundary)

        @app.post("/memos")
        async def post(request: Request) -> dict[str, object]:
            accepted = await self.uploads.take(request, self.permit, self.record)
            return {"memo": accepted.memo.memo_id, "repeated": accepted.repeated}

        self.app = app
        self.client = AsyncClient(transport=ASGITransport(app), base_url="http://here")

    async def submit(self, memo: MemoUploaded) -> None:
        if self.fails is not None:
            raise self.fails
        self.sent.append(memo)

    async def permit(self, user_id: str) -> None:
        if self.refuses:
            raise HTTPException(404)
        self.permitted.append(user_id)

    async def record(self, user_id: str) -> None:
        if self.unrecorded:
            raise HTTPException(503)
        self.recorded.append(user_id)

    async def post(self, content: bytes = AUDIO, kind: str = "audio/wav", **changes: object) -> Response:
        headers = {"content-type": kind, **changes.pop("headers", {})}  # type: ignore[dict-item]
        params = {"user_id": "anna", "recorded_at": AT, **changes}
        return await self.client.post("/memos", content=content, params=params, headers=headers)  # type: ignore[arg-type]

    @property
    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in self.paths]

    @property
    def paths(self) -> list[Path]:
        return list(self.folder.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_audio_is_stored_under_the_uri_that_kafka_gets(world: World) -> None:
    answer = await world.post()
    (memo,) = world.sent
    assert (answer.status_code, answer.json()) == (200, {"memo": memo.memo_id, "repeated": False})
    assert (memo.user_id, memo.recorded_at.isoformat()) == ("anna", "2026-03-01T09:30:00.123000+00:00")
    assert memo.sha256 == hashlib.sha256(AUDIO).hexdigest()
    assert world.files == [AUDIO]
    assert [path.as_uri() for path in world.paths] == [memo.audio_uri]
    assert memo.user_id not in memo.audio_uri
    assert (world.permitted, world.recorded) == (["anna", "anna"], ["anna"])


async def test_a_form_gives_the_same_memo_as_a_body(world: World) -> None:
    await world.post()
    fields = {"user_id": "anna", "recorded_at": AT, "sha256": hashlib.sha256(AUDIO).hexdigest().upper()}
    answer = await world.client.post("/memos", data=fields, files={"audio": ("memo.wav", AUDIO, "audio/wav")})
    assert answer.json() == {"memo": world.sent[0].memo_id, "repeated": True}
    assert (len(world.sent), world.files) == (1, [AUDIO])


@pytest.mark.parametrize("kind", ["audio/webm;codecs=opus", "video/webm", "application/octet-stream"])
async def test_what_a_browser_records_is_taken(world: World, kind: str) -> None:
    assert (await world.post(WEBM, kind)).status_code == 200
    assert world.sent[0].audio_uri.endswith(".webm")


async def test_a_memo_again_changes_nothing_and_another_moment_is_another_memo(world: World) -> None:
    first = await world.post()
    again = await asyncio.gather(*(world.post() for _ in range(3)))
    assert {answer.json()["memo"] for answer in again} == {first.json()["memo"]}
    assert all(answer.json()["repeated"] for answer in again)
    other = await world.post(recorded_at="2026-03-01T10:30:00.124+01:00")
    assert other.json() != first.json()
    assert (len(world.sent), len(world.files)) == (2, 2)


async def test_a_memo_that_became_a_dead_letter_may_be_uploaded_again(world: World) -> None:
    await world.post()
    progress = world.progress.get(world.sent[0].memo_id)
    assert progress is not None
    progress.letter = DEAD
    assert (await world.post()).json()["repeated"] is False
    assert len(world.sent) == 2


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"content": b""}, 422, "audio is empty"),
        ({"content": b"milk, bread"}, 415, "wav, flac"),
        ({"content": b"RIFF" + bytes(MOST)}, 413, "100,000 bytes"),
        ({"kind": "application/json"}, 415, "audio/*"),
        ({"kind": "multipart/form-data"}, 400, "boundary"),
        ({"headers": {"content-encoding": "gzip"}}, 415, "content encoding"),
        ({"headers": {"content-digest": "sha-256=:YWJj:"}}, 422, "sha-256"),
        ({"sha256": "0" * 64}, 422, "SHA-256"),
        ({"sha256": "xyz"}, 422, "sha256"),
        ({"user_id": ""}, 422, "user_id"),
        ({"user_id": "a" * 129}, 422, "user_id"),
        ({"user_id": "an\nna"}, 422, "user_id"),
        ({"recorded_at": "yesterday"}, 422, "recorded_at"),
        ({"recorded_at": "2026-03-01T10:30:00"}, 422, "recorded_at"),
        ({"recorded_at": "2999-01-01T00:00:00Z"}, 422, "recorded_at"),
        ({"recorded_at": "1950-01-01T00:00:00Z"}, 422, "recorded_at"),
        ({"language": "a" * 100}, 422, "language"),
    ],
)
async def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    world: World, changes: dict[str, object], status: int, says: str
) -> None:
    answer = await world.post(**changes)  # type: ignore[arg-type]
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert (world.sent, world.files) == ([], [])


@pytest.mark.parametrize("error", [Transient("KAFKA_BOOTSTRAP: no answer"), ValueError("defect"), RuntimeError("x")])
async def test_without_an_acknowledgement_nothing_is_left_and_a_retry_is_a_first_upload(
    world: World, error: Exception
) -> None:
    world.fails = error
    answer = await world.post()
    assert answer.status_code == (503 if isinstance(error, Transient) else 500)
    assert (world.files, world.progress._known) == ([], {})
    world.fails = None
    assert (await world.post()).json()["repeated"] is False
    assert world.files == [AUDIO]


@pytest.mark.parametrize(
    ("refuses", "status", "outcome"), [(True, 404, "refused"), (False, 503, "failed")], ids=["refused", "unrecorded"]
)
async def test_whoever_may_not_upload_or_cannot_be_recorded_leaves_nothing(
    world: World, refuses: bool, status: int, outcome: str
) -> None:
    world.refuses, world.unrecorded = refuses, not refuses
    before = UPLOADS.labels(outcome=outcome)._value.get()
    assert (await world.post()).status_code == status
    assert (world.sent, world.files) == ([], [])
    assert UPLOADS.labels(outcome=outcome)._value.get() == before + 1


async def test_a_client_that_is_cut_off_leaves_nothing(world: World) -> None:
    async def messages() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": AUDIO[:100], "more_body": True}
        yield {"type": "http.disconnect"}

    parts, sent = messages(), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/memos",
        "headers": [(b"content-type", b"audio/wav")],
        "query_string": b"user_id=anna&recorded_at=2026-03-01T10:30:00Z",
    }
    await world.app(scope, lambda: anext(parts), send)
    assert sent[0]["status"] == 400
    assert (world.sent, world.files) == ([], [])


async def test_without_a_store_every_upload_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.uploads._store = None
    answer = await world.post()
    assert (answer.status_code, "UNDERTONE_UPLOAD_STORE" in answer.text) == (503, True)

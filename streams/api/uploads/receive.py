"""One upload: its audio is stored, its event is acknowledged by Kafka, or nothing of it is left behind."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import uuid4

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from schemas.errors import Transient
from schemas.events import MemoUploaded
from schemas.ids import memo_id
from schemas.limits import ID, LimitError, check
from streams.api.problems import Problem, unavailable
from streams.api.uploads.audio_store import Partial, UploadStore
from streams.api.uploads.content_digest import ContentDigest, mismatch
from streams.api.uploads.multipart import Form
from streams.api.uploads.progress import MemoProgress
from workers.containers.frames import frames_kind
from workers.containers.kinds import magic_kind, without_leading_tags
from workers.service import prometheus

log = logging.getLogger(__name__)

Submit: TypeAlias = Callable[[MemoUploaded], Awaitable[None]]
"""Sends an event; when it returns, Kafka has it. Raises Transient, and then nothing of it is kept."""

MULTIPART = "multipart/form-data"
RAW = ("audio/", "video/webm", "video/mp4", "video/3gpp", "video/quicktime", "application/ogg")
"""Content types of a body that is the audio itself, or the beginnings of them. A browser's recorder may name video."""
UNNAMED = "application/octet-stream"
FILE = "audio"
"""Field of a form that holds the audio."""
HEAD_BYTES = 1 << 20
"""Of the audio, to know its container."""
SUFFIXES = {"matroska": "webm", "mov": "mp4"}
AHEAD = timedelta(minutes=5)
"""A clock may be so far ahead."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What is said of a memo. sha256: hex digest that the audio must have; None for any."""

    user_id: str
    recorded_at: datetime
    sha256: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A memo that Kafka has. repeated: whether it was accepted before."""

    memo: MemoUploaded
    repeated: bool


Permit: TypeAlias = Callable[[str], Awaitable[None]]
"""Raises HTTPException unless the viewer may upload memos of this user. It may be asked twice."""
Record: TypeAlias = Callable[[str], Awaitable[None]]
"""Records who uploads a memo of this user. Raises HTTPException when that cannot be recorded."""


class Uploads:
    """Takes uploads. store: None where none is set, and every upload is refused."""

    def __init__(self, store: UploadStore | None, submit: Submit, progress: MemoProgress, most_bytes: int) -> None:
        self._store, self._submit, self.progress, self._most = store, submit, progress, most_bytes
        self._turns: dict[str, asyncio.Lock] = {}

    async def take(self, request: Request, permit: Permit, record: Record) -> Accepted:
        """Store the audio of a request and submit its memo, once it is recorded who uploads it.

        Raises HTTPException; then no audio, no record and no entry of a journal of it remains.
        """
        outcome = "failed"
        try:
            accepted = await self._take(request, permit, record)
            outcome = "repeated" if accepted.repeated else "accepted"
        except ClientDisconnect:
            outcome = "cut"
            raise Problem(400, detail="The connection ended before the body did; nothing was kept.") from None
        except Transient as error:
            raise Problem(
                503, "The upload cannot be taken now", f"{error}. Nothing was kept; try again later."
            ) from error
        except HTTPException as error:
            outcome = "refused" if error.status_code < 500 else "failed"
            raise
        finally:
            prometheus.UPLOADS.labels(outcome=outcome).inc()
        return accepted

    async def _take(self, request: Request, permit: Permit, record: Record) -> Accepted:
        if self._store is None:
            raise unavailable("A store for uploads", "An operator has to set UNDERTONE_UPLOAD_STORE first.")
        source = _source(request)
        if source.fields is not None:
            await permit(fields_of(source.fields).user_id)  # before the audio is read, where that is possible
        with await asyncio.to_thread(self._store.begin) as partial:
            digest, size = await _received(source, partial, self._most)
            fields = fields_of(source.complete())
            if fields.sha256 is not None and fields.sha256 != digest:
                raise mismatch("the SHA-256 in the field `sha256`")
            kind = await asyncio.to_thread(_kind, partial)
            await permit(fields.user_id)
            memo = memo_of(fields, digest)
            async with self._turn(memo.memo_id):
                await record(memo.user_id)
                if (known := await self.progress.current(memo.memo_id)) is not None and known.letter is None:
                    return Accepted(known.memo, repeated=True)
                return Accepted(await self._keep(partial, memo, kind, size), repeated=False)

    async def _keep(self, partial: Partial, memo: MemoUploaded, kind: str, size: int) -> MemoUploaded:
        """Put the audio in place and send the event."""
        name = f"{memo.memo_id}-{uuid4().hex[:8]}.{SUFFIXES.get(kind, kind)}"
        uri = await asyncio.to_thread(partial.keep, name, memo.user_id)
        memo = MemoUploaded(
            memo.memo_id, memo.user_id, memo.recorded_at, datetime.now(UTC), uri, memo.sha256, memo.language
        )
        progress = None
        try:
            _checked(memo)
            progress = await self.progress.expect(memo)
            await self._submit(memo)
        except BaseException:
            if progress is not None:
                self.progress.forget(progress)
            await asyncio.shield(self._remove(uri))
            raise
        self.progress.accept(progress)
        prometheus.UPLOAD_BYTES.inc(size)
        return memo

    async def _remove(self, uri: str) -> None:
        assert self._store is not None
        try:
            await asyncio.to_thread(self._store.remove, uri)
        except Transient as error:
            log.warning("audio of an upload that failed could not be removed: %s", error)

    def _turn(self, memo: str) -> asyncio.Lock:
        """One upload of a memo at a time."""
        for each in [name for name, lock in self._turns.items() if not lock.locked()]:
            del self._turns[each]
        return self._turns.setdefault(memo, asyncio.Lock())


@dataclass(slots=True)
class Source:
    """The body of a request: chunks of audio, and what is said of the memo.

    fields: known before the body is read, None in a form.
    """

    chunks: AsyncIterator[bytes]
    digest: ContentDigest
    fields: Mapping[str, str] | None
    form: Form | None = None

    def audio(self, chunk: bytes) -> bytes:
        """The bytes of audio in a chunk."""
        self.digest.update(chunk)
        return chunk if self.form is None else self.form.feed(chunk)

    def complete(self) -> Mapping[str, str]:
        """The body has ended: what is said of the memo. Raises Problem for a broken form or a wrong digest."""
        found = self.fields if self.form is None else self.form.finish()
        self.digest.check()
        return found or {}


def _source(request: Request) -> Source:
    """Raises Problem 415 for a content type that holds no audio, 400 for headers that cannot be read."""
    kind = request.headers.get("content-type", UNNAMED)
    media = kind.partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, detail="Send the audio without a content encoding.", headers={"Accept-Encoding": "identity"})
    chunks, digest = request.stream(), ContentDigest.of(request.headers)
    if media == MULTIPART:
        return Source(chunks, digest, None, Form(kind, FILE))
    if media == UNNAMED or media.startswith(RAW):
        return Source(chunks, digest, request.query_params)
    accepted = ", ".join((MULTIPART, "audio/*", "video/webm", UNNAMED))
    raise Problem(415, detail=f"Send the audio as one of {accepted}.", headers={"Accept-Post": accepted})


async def _received(source: Source, partial: Partial, most: int) -> tuple[str, int]:
    """Write the audio as it arrives; its SHA-256 in hex and its bytes. Raises Problem 413 and 422."""
    digest, size = hashlib.sha256(), 0
    async for chunk in source.chunks:
        if audio := source.audio(chunk):
            size += len(audio)
            if size > most:
                raise Problem(413, detail=f"A memo may have at most {most:,} bytes of audio.")
            digest.update(audio)
            await asyncio.to_thread(partial.write, audio)
    if not size:
        raise Problem(422, "The audio is empty", f"Send the audio as the body, or as the field `{FILE}` of a form.")
    return digest.hexdigest(), size


def _kind(partial: Partial) -> str:
    """The container of the audio. Raises Problem 415 for what no decoder reads."""
    head = partial.head(HEAD_BYTES)
    found = magic_kind(without_leading_tags(head)) or frames_kind(head)
    if found is None:
        detail = "Send wav, flac, ogg, opus, webm, mp3, m4a, aac, 3gp, amr, aiff or caf."
        raise Problem(415, "The content is no audio", detail)
    return found


def fields_of(given: Mapping[str, str]) -> Fields:
    """What is said of a memo. Raises Problem 422 that names every wrong field."""
    errors: list[Mapping[str, str]] = []
    user, moment = given.get("user_id", ""), _moment(given.get("recorded_at", ""))
    sha256 = given.get("sha256", "").lower() or None
    if not ID.accepts(user):
        errors.append({"where": "user_id", "what": f"must be {ID.rule}"})
    if moment is None:
        errors.append({"where": "recorded_at", "what": "must be a time of RFC 3339 with its zone, not in the future"})
    if sha256 is not None and not (len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")):
        errors.append({"where": "sha256", "what": "must be 64 hexadecimal digits"})
    if errors or moment is None:
        raise Problem(422, errors=tuple(errors))
    return Fields(user, moment, sha256, given.get("language") or None)


def _moment(text: str) -> datetime | None:
    """A time in UTC, to the millisecond; None for what is none, is in the future, or before 1970."""
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(text.strip().replace(" ", "+"))
        if found.tzinfo is not None:
            found = found.astimezone(UTC)
            if found.year >= 1970 and found <= datetime.now(UTC) + AHEAD:
                return found.replace(microsecond=found.microsecond // 1000 * 1000)
    return None


def memo_of(fields: Fields, digest: str) -> MemoUploaded:
    """The event of a memo whose audio is not in place yet."""
    identity = memo_id(fields.user_id, digest, fields.recorded_at)
    uploaded_at = datetime.now(UTC)
    return MemoUploaded(identity, fields.user_id, fields.recorded_at, uploaded_at, "", digest, fields.language)


def _checked(memo: MemoUploaded) -> None:
    try:
        check(memo)
    except LimitError as error:
        raise Problem(422, detail=f"The memo cannot be submitted: {error}.") from None

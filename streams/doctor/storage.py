"""Whether audio can be read under each of UNDERTONE_AUDIO_PREFIXES."""

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from schemas.errors import ConfigurationError, Poison
from schemas.settings import Settings
from streams.doctor.examination import Patient, in_thread
from streams.doctor.finding import Finding, failed, ok, skipped, together, warning

ANSWER_S = 6.0
LISTED = 50
"""Entries of a folder that are looked at for one file to read."""
NONE = "set UNDERTONE_AUDIO_PREFIXES to where memos are, such as file:///audio/ or s3://memos/"


async def prefixes(patient: Patient) -> Finding:
    """Every prefix is there, and one of its files can be read. Paths and buckets are not named."""
    given = patient.settings.audio_prefixes
    if not given:
        if patient.embedded:
            return ok("none set: `undertone up` copies what is submitted")
        return skipped("UNDERTONE_AUDIO_PREFIXES is not set: workers read no audio", NONE)
    return together(await asyncio.gather(*(_prefix(patient.settings, n, uri) for n, uri in enumerate(given, 1))))


async def _prefix(settings: Settings, number: int, uri: str) -> Finding:
    name = f"prefix {number} of UNDERTONE_AUDIO_PREFIXES"
    try:
        async with asyncio.timeout(ANSWER_S):
            return await in_thread(lambda: _look(settings, name, uri))
    except TimeoutError:
        return failed(f"{name} does not answer within {ANSWER_S:g} s", "look at its storage and the network between")


def _look(settings: Settings, name: str, uri: str) -> Finding:
    from workers.audio.storage import AudioStore
    from workers.storage.uri import HTTP, place

    AudioStore(settings.model_copy(update={"audio_prefixes": (uri,)}))  # raises for a prefix that cannot be used
    try:
        where = place(uri)
    except Poison as poison:
        raise ConfigurationError(f"{name}: {poison.detail}") from None
    if where.scheme == "file":
        return _folder(name, Path(*where.parts))
    return _http(name, where.url) if where.scheme in HTTP else _objects(name, where.url)


def _folder(name: str, folder: Path) -> Finding:
    if not folder.exists():
        return failed(f"{name} does not exist", "create the folder, mount its disk, or correct the prefix")
    if not folder.is_dir():
        return failed(f"{name} is a file", "name a folder")
    if not os.access(folder, os.X_OK):
        return failed(f"{name} may not be entered by this user", "give this user rx on the folder and those above it")
    if not os.access(folder, os.R_OK):
        return ok(f"{name} is there; it may not be listed, which workers do not need")
    first = next(_files(folder), None)
    if first is None:
        return ok(f"{name} is there, and has no file to try")
    if not os.access(first, os.R_OK):
        return failed(f"{name} has a file that this user may not read", "give the user of the workers r on the files")
    return ok(f"{name} is there, and a file in it can be read")


def _files(folder: Path) -> Iterator[Path]:
    """Files in a folder, or in the folders in it."""
    with os.scandir(folder) as entries:
        found = list(islice(entries, LISTED))
    yield from (Path(entry.path) for entry in found if entry.is_file(follow_symlinks=False))
    for entry in found:
        if entry.is_dir(follow_symlinks=False) and os.access(entry.path, os.R_OK | os.X_OK):
            with os.scandir(entry.path) as inner:
                yield from (Path(each.path) for each in islice(inner, LISTED) if each.is_file(follow_symlinks=False))


def _http(name: str, url: str) -> Finding:
    try:
        status = httpx.head(url, timeout=ANSWER_S).status_code
    except httpx.HTTPError as error:
        return failed(f"{name} does not answer ({type(error).__name__})", "start its server, or correct the prefix")
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return warning(f"{name} answers {status} for the prefix itself", "look whether single objects can be read")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return failed(f"{name} answers {status}", "look at the log of its server")
    return ok(f"{name} answers")


def _objects(name: str, url: str) -> Finding:
    import fsspec

    try:
        system: Any
        system, path = fsspec.core.url_to_fs(url)
        found = system.ls(path, detail=False)
    except FileNotFoundError:
        return failed(f"{name} does not exist", "create the bucket or container, or correct the prefix")
    except PermissionError:
        return warning(f"{name} may not be listed", "workers need to read objects only: look whether they can")
    except Exception as error:
        # Storage libraries raise errors of their own; their texts may hold addresses with secrets.
        return failed(f"{name} cannot be read ({type(error).__name__})", "look at its credentials, region and network")
    return ok(f"{name} can be listed, {'holds objects' if found else 'is empty'}")

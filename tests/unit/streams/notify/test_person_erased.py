"""Receivers that know an erased person, as real HTTP servers: what they get, and what failed."""

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from schemas.channels import CHANNELS
from schemas.errors import Poison, Transient
from schemas.events import AlertState
from schemas.settings import Settings
from streams.notify.person_erased import PLATFORM, tell_receivers
from tests.receivers import Answer, Receiver, Request, receiving
from tests.unit.streams.alerts import alert

WHO, SUBJECT = "user-1", bytes(range(16))
SECRET = "a sentence of enough bytes"  # of this test
OPEN = alert(AlertState.ESCALATED)
URIS = ("s3://memos/1", "s3://memos/2")
PATIENTS = Path(__file__).parent / "patients.csv"


def sending(receiver: Receiver, *names: str) -> Settings:
    """Settings with these channels at the receiver, each at an address of its own."""
    urls = {row.setting: f"{receiver.url}/{row.name}" for row in CHANNELS if row.name in names}
    if PLATFORM in names:
        urls["platform_url"] = f"{receiver.url}/{PLATFORM}"
    return Settings.load(**urls, webhook_secret=SECRET, fhir_patients=PATIENTS)


def at(receiver: Receiver, name: str) -> list[Request]:
    return [request for request in receiver.requests if request.path.startswith(f"/{name}")]


def is_signed(request: Request) -> bool:
    """As a receiver checks it, from the published rules alone."""
    signed = b".".join([request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode()])
    digest = hmac.new(SECRET.encode(), signed + b"." + request.body, hashlib.sha256).digest()
    return request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


async def test_every_channel_hears_the_end_and_the_platform_alone_the_recordings() -> None:
    with receiving() as receiver:
        names = [*(row.name for row in CHANNELS), PLATFORM]
        settings = sending(receiver, *names)
        for _ in range(2):
            outcomes = await tell_receivers(settings, WHO, SUBJECT, [OPEN], URIS)
            assert outcomes == dict.fromkeys(names)
    end, message = (request.json for request in at(receiver, "webhook")[:2])
    assert (end["dedup_key"], end["state"], end["evidence"]) == (OPEN.dedup_key, "resolved", [])
    assert (message["type"], message["data"]) == ("person.erased", {"user_id": WHO})
    (posted,) = at(receiver, "alertmanager")[0].json
    assert posted["labels"]["episode"] == OPEN.dedup_key
    assert posted["annotations"]["state"] == "resolved"
    assert "resolved" in at(receiver, "slack")[0].json["text"]
    assert WHO not in at(receiver, "slack")[0].json["text"]
    told = at(receiver, PLATFORM)
    assert told[0].json["data"] == {"user_id": WHO, "audio_uris": [*URIS]}
    assert all(map(is_signed, [*told, *at(receiver, "webhook")]))
    assert len({request.headers["webhook-id"] for request in told}) == 1, "a repetition can be told"
    assert not any(uri in request.body.decode() for request in receiver.requests for uri in URIS if request not in told)


@pytest.mark.parametrize(("answer", "kind"), [(500, Transient), (404, Transient), (None, Transient), (400, Poison)])
async def test_one_that_fails_costs_no_other_and_says_whether_it_may_still_succeed(
    answer: Answer, kind: type[Exception]
) -> None:
    with receiving(lambda request, _: answer if request.path == f"/{PLATFORM}" else 200) as receiver:
        outcomes = await tell_receivers(sending(receiver, PLATFORM, "webhook"), WHO, SUBJECT, [OPEN], URIS)
    assert outcomes["webhook"] is None
    assert isinstance(outcomes[PLATFORM], kind)
    assert f"/{PLATFORM}" not in str(outcomes[PLATFORM]), "the path of an address may be a secret"


async def test_nobody_is_told_where_nobody_is_set() -> None:
    assert await tell_receivers(Settings(), WHO, SUBJECT, [OPEN], URIS) == {}

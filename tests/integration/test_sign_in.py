"""Sign-in, sessions and tokens against a real OpenID Connect provider."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from deploy.identity.server import IdentityServer, Registration, new_key
from schemas.errors import ConfigurationError, Transient
from schemas.event_enums import ActorProof
from schemas.settings import Settings
from streams.access import sessions
from streams.access.identity_provider import Client, IdentityProvider
from streams.access.permissions import ROUTES, Permission
from streams.access.roles import GRANTS, StaffRole
from streams.cli.privacy.token_actor import actor_by
from tests.identity import ACCOUNTS, DASHBOARD, access_token, log_in
from tests.unit.streams.access.protected import Protected, address, protected

SESSION = "undertone-session"
ROLES = {"ann": StaffRole.CLINICIAN, "olaf": StaffRole.OPERATOR, "aud": StaffRole.AUDITOR}


def world_of(identity: IdentityServer) -> Protected:
    return protected(**identity.settings())


@pytest.fixture
def world(identity: IdentityServer) -> Protected:
    return world_of(identity)


async def signed_in(world: Protected, account: str, target: str = "/system") -> httpx.AsyncClient:
    """The browser of somebody who has signed in."""
    browser = world.client(DASHBOARD)
    sent = await browser.get("/signin", params={"next": target})
    assert sent.status_code == 303
    back = await browser.get(log_in(sent.headers["location"], account))
    assert (back.status_code, back.headers.get("location")) == (303, target), back.text
    return browser


async def test_a_sign_in_makes_a_session_and_leads_to_the_page_that_was_wanted(world: Protected) -> None:
    browser = await signed_in(world, "ann", "/people/north-1")
    answer = await browser.get("/people/north-1")
    assert answer.text == "a person's data"
    assert [(event.actor, event.role, event.action.value) for event in world.trail.events] == [
        ("ann", "clinician", "signed_in"),
        ("ann", "clinician", "viewed"),
    ]


async def test_the_provider_is_asked_by_code_with_pkce_state_and_nonce(world: Protected) -> None:
    sent = await world.client(DASHBOARD).get("/signin")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{DASHBOARD}/signin/callback"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 20
    cookie = sent.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/", "max-age=600"))


@pytest.mark.parametrize("account", ROLES)
async def test_every_role_on_every_route(world: Protected, account: str) -> None:
    """The table of roles and the table of routes, tried on each pair through a session."""
    browser = await signed_in(world, account)
    form = {"csrf_token": sessions.Session(account, frozenset(), ()).viewer(browser.cookies[SESSION]).csrf_token}
    for (method, template), row in ROUTES.items():
        if row.permission in {Permission.PUBLIC, Permission.ACCOUNT}:
            continue
        path = address(template)
        answer = await browser.request(method, path, data=form if method != "GET" else None)
        allowed = ROLES[account] in GRANTS[row.permission]
        if path == "/" and not allowed:
            assert (answer.status_code, answer.headers["location"]) == (303, "/system")
        else:
            assert answer.status_code == (200 if allowed else 403), f"{account} {method} {path}"
        if not allowed:
            assert "a person's data" not in answer.text


@pytest.mark.parametrize("user_id", ["south-1", "nobody"])
async def test_a_clinician_cannot_tell_a_foreign_person_from_none(world: Protected, user_id: str) -> None:
    browser = await signed_in(world, "ann")
    answer = await browser.get(f"/people/{user_id}")
    assert answer.status_code == 404
    assert user_id not in answer.text
    assert world.trail.events[-1].allowed is False


async def test_somebody_without_a_role_gets_no_session(world: Protected) -> None:
    browser = world.client(DASHBOARD)
    sent = await browser.get("/signin")
    back = await browser.get(log_in(sent.headers["location"], "guest"))
    assert back.status_code == 403
    assert SESSION not in browser.cookies
    assert [(event.actor, event.allowed) for event in world.trail.events] == [("guest", False)]


async def test_a_sign_in_ends_the_session_that_the_browser_brought(world: Protected) -> None:
    """Session fixation: an id that an attacker has planted, or knows, is worth nothing after a sign-in."""
    browser = await signed_in(world, "ann")
    known = browser.cookies[SESSION]
    sent = await browser.get("/signin")
    await browser.get(log_in(sent.headers["location"], "ann"))
    assert browser.cookies[SESSION] != known
    planted = world.client(DASHBOARD, cookies={SESSION: known})
    assert (await planted.get("/system")).status_code == 401


async def test_an_id_that_was_never_given_out_is_no_session(world: Protected) -> None:
    for value in ("", "planted-by-an-attacker", sessions.new_id(), "a" * 5000):
        assert (await world.client(DASHBOARD, cookies={SESSION: value}).get("/system")).status_code == 401


async def test_another_browser_cannot_use_the_way_back(world: Protected) -> None:
    """Cross-site request forgery of the sign-in itself: the code of an attacker in somebody else's browser."""
    mine, yours = world.client(DASHBOARD), world.client(DASHBOARD)
    sent, other = await mine.get("/signin"), await yours.get("/signin")
    assert other.status_code == 303
    back = log_in(sent.headers["location"], "ann")
    assert (await yours.get(back)).status_code == 400
    assert (await mine.get(back)).status_code == 303
    assert (await mine.get(back)).status_code == 400


async def test_the_session_cookie_is_for_this_site_and_no_script(world: Protected) -> None:
    browser = world.client(DASHBOARD)
    sent = await browser.get("/signin")
    back = await browser.get(log_in(sent.headers["location"], "ann"))
    (cookie,) = (each.lower() for each in back.headers.get_list("set-cookie") if each.startswith(f"{SESSION}="))
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/"))
    assert "domain" not in cookie


async def test_a_form_without_the_token_of_its_session_changes_nothing(world: Protected) -> None:
    browser, other = await signed_in(world, "ann"), await signed_in(world, "ann")
    foreign = sessions.Session("ann", frozenset(), ()).viewer(other.cookies[SESSION]).csrf_token
    for form in ({}, {"csrf_token": ""}, {"csrf_token": foreign}, {"csrf_token": "0" * 64}):
        assert (await browser.post("/signout", data=form)).status_code == 403
    assert (await browser.get("/system")).status_code == 200
    assert (await browser.post("/signout", headers={"X-CSRF-Token": foreign})).status_code == 403


def token_of(browser: httpx.AsyncClient) -> str:
    return sessions.Session("", frozenset(), ()).viewer(browser.cookies[SESSION]).csrf_token


async def test_sign_out_ends_the_session_here_and_at_the_provider(world: Protected, identity: IdentityServer) -> None:
    browser = await signed_in(world, "ann")
    answer = await browser.post("/signout", data={"csrf_token": token_of(browser)})
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{identity.issuer}/session/end"
    query = parse_qs(target.query)
    assert query["post_logout_redirect_uri"] == [f"{DASHBOARD}/signedout"]
    assert query["id_token_hint"][0].count(".") == 2
    async with httpx.AsyncClient() as at_provider:
        assert (await at_provider.get(answer.headers["location"])).status_code == 200
    assert SESSION not in browser.cookies
    assert world.trail.actions() == ["signed_in", "signed_out"]
    assert (await browser.get("/signedout")).status_code == 200


async def test_sign_out_ends_the_session_while_kafka_is_away(world: Protected) -> None:
    browser = await signed_in(world, "ann")
    world.trail.refuses = True
    assert (await browser.post("/signout", data={"csrf_token": token_of(browser)})).status_code == 503
    assert (await browser.get("/system")).status_code == 401


async def test_sign_out_everywhere_ends_the_other_browsers_too(world: Protected) -> None:
    one, two, bystander = await signed_in(world, "ann"), await signed_in(world, "ann"), await signed_in(world, "sue")
    await one.post("/signout", data={"csrf_token": token_of(one), "everywhere": "1"})
    assert (await two.get("/system")).status_code == 401
    assert (await bystander.get("/system")).status_code == 200


async def test_a_program_uses_an_access_token(world: Protected, identity: IdentityServer) -> None:
    program = world.client(DASHBOARD, headers={"Authorization": f"Bearer {access_token(identity, 'reader')}"})
    assert (await program.get("/people/north-1")).status_code == 200
    assert (await program.get("/people/south-1")).status_code == 404
    assert world.trail.events[0].actor == "reader"
    answer = await program.post("/signout")  # no cookie, so no token of a form
    assert answer.status_code == 303


def test_a_command_is_run_by_whoever_the_provider_gave_its_token(identity: IdentityServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(access_token(identity, "reader"))
    settings = Settings(oidc_issuer=identity.issuer, oidc_audience=identity.audience, oidc_token_file=path)
    actor = actor_by(settings)
    assert (actor.name, actor.proof) == ("reader", ActorProof.OIDC)
    claims = jwt.decode(access_token(identity, "reader"), identity.key, algorithms=["RS256"]).claims
    path.write_text(minted(identity.key, claims | {"aud": "https://other.example"}))
    with pytest.raises(ConfigurationError, match="not for this API"):
        actor_by(settings)


async def test_a_token_for_another_api_is_foreign(world: Protected, identity: IdentityServer) -> None:
    """The provider signs tokens for the audience that is asked for; only ours is accepted."""
    claims = jwt.decode(access_token(identity, "reader"), identity.key, algorithms=["RS256"]).claims
    for change in ({"aud": "https://other.example"}, {"iss": "https://evil.example"}, {"exp": int(time.time()) - 90}):
        answer = await bearing(world, minted(identity.key, claims | change))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert (await bearing(world, minted(identity.key, claims))).status_code == 200
    assert (await bearing(world, minted(new_key(), claims))).status_code == 401


def minted(key: RSAKey, claims: Mapping[str, object]) -> str:
    return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}, dict(claims), key)


async def bearing(world: Protected, token: str) -> httpx.Response:
    return await world.client(DASHBOARD, headers={"Authorization": f"Bearer {token}"}).get("/system")


async def test_keys_change_and_the_provider_may_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """One provider of its own: new keys are found by their id, old ones are not trusted, and an outage says so."""
    registration = Registration(DASHBOARD, ACCOUNTS, machines=("reader",))
    with IdentityServer(registration) as identity:
        world = world_of(identity)
        before = access_token(identity, "reader")
        assert (await bearing(world, before)).status_code == 200
        browser = await signed_in(world, "ann")
        identity.rotate()
        # Keys are asked for again at once in a test; in operation a while after the last time.
        monkeypatch.setattr("streams.access.identity_provider.KEYS_AGAIN_S", -1.0)
        assert (await bearing(world, access_token(identity, "reader"))).status_code == 200
        assert (await bearing(world, before)).status_code == 401
        identity.kill()
        assert (await browser.get("/system")).status_code == 200, "sessions go on"
        monkeypatch.setattr("streams.access.identity_provider.METADATA_S", -1.0)
        answer = await world.client(DASHBOARD).get("/signin")
        assert answer.status_code == 503
        assert "UNDERTONE_OIDC_ISSUER" in answer.json()["detail"]
        out = await browser.post("/signout", data={"csrf_token": token_of(browser)})
        assert out.headers["location"] == "/signedout"


async def test_a_provider_that_is_away_is_not_asked_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, asked = IdentityProvider(Client("https://id.example", "undertone", None, "api")), list[str]()

    async def absent() -> None:
        asked.append("")
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(provider._app, "load_server_metadata", absent)
    told = []
    for _ in range(3):
        with pytest.raises(Transient, match="UNDERTONE_OIDC_ISSUER") as refused:
            await provider.access_claims("a.b.c")
        told.append(refused.value)
    assert len(asked) == 1
    # Each its own: one error that is raised again would keep the frames, and so the tokens, of all requests.
    assert len(set(map(id, told))) == 3


async def test_tokens_with_known_keys_wait_for_no_fetch(world: Protected, identity: IdentityServer) -> None:
    assert world.access.staff is not None
    provider, token = world.access.staff.provider, access_token(identity, "reader")
    await provider.access_claims(token)
    async with provider._fetching, asyncio.timeout(20):
        assert (await provider.access_claims(token))["sub"] == "reader"

"""The identity provider of tests, and a person who signs in there with a browser."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.identity.server import IdentityServer, Registration, libraries
from schemas.errors import Stop
from tests.programs import need, version
from tests.servers import required

DASHBOARD = "http://127.0.0.1:8090"
"""Where the tests' dashboards are registered; no one needs to listen there."""
ACCOUNTS = {
    "ann": {"roles": ["clinician"], "cohorts": ["north"]},
    "sue": {"roles": ["clinician"], "cohorts": ["south"]},
    "olaf": {"roles": ["undertone-operator"]},
    "aud": {"roles": ["auditor"]},
    "guest": {"roles": ["gardener"]},
    "uploader": {"roles": ["operator"]},
    "reader": {"roles": ["clinician"], "cohorts": ["north"]},
}


@pytest.fixture(scope="session")
def identity() -> Iterator[IdentityServer]:
    """An OpenID Connect provider, one for all tests of a run; skipped where there is no Node.js."""
    need("node", (20, 19), version("node", "--version"))
    try:
        libraries()
    except Stop as error:
        (pytest.fail if required("clients") else pytest.skip)(f"no identity provider: {error}")
    with IdentityServer(Registration(DASHBOARD, ACCOUNTS, machines=("uploader", "reader"))) as server:
        yield server


def access_token(identity: IdentityServer, machine: str, audience: str | None = None) -> str:
    """A token for a program, by the client credentials grant."""
    form = {"grant_type": "client_credentials", "resource": audience or identity.audience}
    answer = httpx.post(f"{identity.issuer}/token", data=form, auth=(machine, "for development only"))
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def log_in(address: str, account: str) -> str:
    """Log in at the provider and agree to everything; gives the address that the browser is sent back to."""
    with httpx.Client() as browser:
        answer = browser.get(address)
        for _ in range(12):
            if answer.is_redirect:
                target = str(answer.next_request.url) if answer.next_request else ""
                if target.startswith(f"{DASHBOARD}/"):
                    return target
                answer = browser.get(target)
            else:
                action, fields = _filled(answer, account)
                answer = browser.post(action, data=fields)
    raise AssertionError(
        f"the provider does not send the browser back: {answer.status_code} {urlsplit(str(answer.url)).path}"
    )


def _filled(page: httpx.Response, account: str) -> tuple[str, dict[str, str]]:
    """Where the form of a page is sent, and with what."""
    action = re.search(r'action="([^"]+)"', page.text)
    prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
    assert action, page.text[:500]
    assert prompt, page.text[:500]
    fields = {"prompt": prompt[1], **({"login": account, "password": "any"} if prompt[1] == "login" else {})}
    return str(page.url.join(action[1])), fields

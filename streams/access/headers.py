"""Headers of every response: what browsers may load, and what they must not do with the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from streams.access.origins import Site

MICROPHONE_PATHS = frozenset({"/try"})
"""Pages that may ask for the microphone."""
STATIC = "/static/"
CHART_PATHS = ("/people/", "/episodes/", "/system", "/try")
"""Beginnings of paths whose pages may have charts, which Bokeh draws."""
_FEATURES = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "payment", "usb")


@dataclass(frozen=True, slots=True)
class Policies:
    """Content-Security-Policies: of pages with charts, and of everything else."""

    charts: str
    plain: str

    @classmethod
    def of(cls, site: Site, connects: Sequence[str] = (), forms: Sequence[str] = ()) -> Self:
        """For a site.

        connects: origins that pages ask by script, such as a service that knows names; forms: origins to which the
        answer to a form redirects, such as the identity provider's at sign-out.
        """
        # Bokeh writes the style sheets of a chart into the page by script; inline script and `eval` it does without.
        charts = content_security_policy(site, "'self' 'unsafe-inline'", connects, forms)
        return cls(charts, content_security_policy(site, "'self'", connects, forms))


def security_headers(site: Site, path: str, policies: Policies) -> Mapping[str, str]:
    """Headers of a response."""
    policy = policies.charts if path.startswith(CHART_PATHS) else policies.plain
    microphone = "(self)" if path in MICROPHONE_PATHS else "()"
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        # With `no-referrer` browsers send `Origin: null` with forms, which could not be told from a foreign site.
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": ", ".join([f"microphone={microphone}", *(f"{feature}=()" for feature in _FEATURES)]),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        **({"Strict-Transport-Security": "max-age=31536000"} if site.secure else {}),
        **({} if path.startswith(STATIC) else {"Cache-Control": "no-store"}),
    }


def content_security_policy(site: Site, styles: str, connects: Iterable[str], forms: Iterable[str]) -> str:
    """What a page may load: nothing but this origin's files, and no script or handler within the page."""
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": styles,
        "img-src": "'self' data: blob:",
        "font-src": "'self'",
        "media-src": "'self' blob:",
        "connect-src": " ".join(["'self'", *connects]),
        "manifest-src": "'self'",
        "form-action": " ".join(["'self'", *forms]),
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "object-src": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    return policy + ("; upgrade-insecure-requests" if site.secure else "")

"""Pages from templates: what every page knows of its request, and the filters of its language.

A page is `page(request, "caseload.html", rows=rows)`. In templates `_` and `ngettext` translate, `asset(name)` is the
address of a static file, and these filters write values in the reader's language: `when`, `day`, `last_day` (of
a time that ends at a moment), `ago`, `duration`, `number`, `signed`, `percent`. Those of moments read the reader's time
zone and the time of the request, so a macro that uses them is imported `with context`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from babel import Locale
from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from streams.access.csrf import csrf_field, csrf_token
from streams.access.roles import Permission
from streams.access.viewer import optional_viewer
from streams.web import formats
from streams.web.assets import assets
from streams.web.languages import COOKIE as LANGUAGE_COOKIE
from streams.web.languages import Language, languages, preferred

TEMPLATES = Path(__file__).parent / "templates"
ZONE_COOKIE = "undertone_zone"
"""Name of the viewer's time zone, as the browser knows it or the viewer chose it."""
Filter: TypeAlias = Callable[..., object]

PRIVATE = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}
"""Nothing of a page remains in the browser's cache after the viewer has left."""


def language_of(request: Request) -> Language:
    """The language that this viewer chose, else the one that the browser asks for."""
    return preferred(request.headers.get("accept-language", ""), request.cookies.get(LANGUAGE_COOKIE))


def zone_of(request: Request) -> ZoneInfo:
    """The viewer's time zone; UTC until it is known."""
    return formats.zone(request.cookies.get(ZONE_COOKIE))


def render(request: Request, template: str, **context: object) -> str:
    """The text of a template, or of a fragment of a page."""
    language = language_of(request)
    known: dict[str, object] = {
        "request": request,
        "language": language,
        "languages": list(languages().values()),
        "zone": zone_of(request),
        "now": datetime.now(UTC),
        "frame": getattr(request.state, "frame", None),
        "viewer": optional_viewer(request),
        "names_service": _names_service(request),
        "path": request.url.path,
        "back_here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    }
    return environment(language.tag).get_template(template).render(known | context)


def _names_service(request: Request) -> str | None:
    """Where this viewer's browser asks for names; None for one who may not know whose data it is."""
    asking = optional_viewer(request)
    if asking is None or not asking.may(Permission.PERSON):
        return None
    found: str | None = request.app.state.services.settings.names_url
    return found


def page(
    request: Request, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: object
) -> HTMLResponse:
    """A page in the viewer's language, which no cache keeps. Raises jinja2.UndefinedError for a value not given."""
    return HTMLResponse(render(request, template, **context), status, {**PRIVATE, **(headers or {})})


@cache
def environment(tag: str) -> Environment:
    """Templates in one language. Values are escaped, and one that was not given is an error."""
    language = languages()[tag]
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {"asset": assets().address, "csrf_field": csrf_field, "csrf_token": csrf_token}
    made.filters |= _moment_filters(language.locale) | {
        "duration": partial(formats.duration, locale=language.locale),
        "number": partial(formats.number, locale=language.locale),
        "signed": partial(formats.signed, locale=language.locale),
        "percent": partial(formats.percent, locale=language.locale),
    }
    return made


def _moment_filters(locale: Locale) -> dict[str, Filter]:
    """`<time>` elements, which scripts may read; the text is whole without one. None is shown as a dash."""

    @pass_context
    def when(context: Context, moment: datetime | None) -> str:
        if moment is None:
            return formats.NOTHING
        return _time(moment, formats.clock_time(moment, context["zone"], locale))

    @pass_context
    def day(context: Context, moment: datetime | None) -> str:
        return formats.NOTHING if moment is None else _time(moment, formats.day(moment, context["zone"], locale))

    @pass_context
    def ago(context: Context, moment: datetime | None) -> str:
        if moment is None:
            return formats.NOTHING
        exact = formats.clock_time(moment, context["zone"], locale)
        words = formats.ago(moment, context["now"], locale)
        return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(moment.isoformat(), exact, words)

    @pass_context
    def last_day(context: Context, until: datetime) -> str:
        return day(context, until - datetime.resolution)

    return {"when": when, "day": day, "last_day": last_day, "ago": ago}


def _time(moment: datetime, text: str) -> str:
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), text)

"""The application of the dashboard: the API, and the pages that show the same to people."""

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI

from streams.api import application as api
from streams.api.services import Services
from streams.web import assets, choices, signed_out
from streams.web.caseload import page as caseload
from streams.web.episode import page as episode
from streams.web.erasures import page as erasures
from streams.web.error_pages import error_page
from streams.web.notices import load_notices
from streams.web.person import page as person
from streams.web.system import page as system
from streams.web.trial import page as trial
from streams.web.trial.plot import Plots

PAGES: Sequence[APIRouter] = (
    caseload.router,
    episode.router,
    choices.router,
    person.router,
    system.router,
    trial.router,
    erasures.router,
)
"""Routers of pages for whoever is signed in. Each page shows the notices about the system."""


def make_application(services: Services) -> FastAPI:
    """API and pages as one ASGI application."""
    app = api.make_application(services, error_page)
    app.state.plots = Plots(services.settings)
    app.include_router(assets.router)
    app.include_router(signed_out.router)
    for router in PAGES:
        app.include_router(router, dependencies=[Depends(load_notices)], include_in_schema=False)
    return app

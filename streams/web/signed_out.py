"""The page after sign-out. It needs neither database nor Kafka nor a session."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from streams.access.sign_in import SIGNED_OUT
from streams.web.pages import page

router = APIRouter(include_in_schema=False)


@router.get(SIGNED_OUT)
async def signed_out_page(request: Request) -> HTMLResponse:
    """Says that the session is over, and leads to the next one."""
    return page(request, "signed_out.html")

"""What a browser asks for: the page for people at `/app`, and receipts.

Everything is this plane's own, read once at the start. The policy lets a page load its own style
and script and talk to its own origin, and nothing else; an address of a receipt is a secret, so no
page tells another site where the reader came from.
"""

import re
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from agent_runtime.http.door import Described, faults
from agent_runtime.http.envelope import error_answer
from agent_runtime.receipts.desk import PATH, Desk
from agent_runtime.receipts.page import page
from agent_runtime.wiring import Service

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
GUARDS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
ASSETS = {
    "/app": ("index.html", "text/html; charset=utf-8"),
    "/app/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/app/style.css": ("style.css", "text/css; charset=utf-8"),
}
RECEIPT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}-[0-9a-f]{32}")


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["pages"])
    kept = files("agent_runtime.web")
    for path, (name, media) in ASSETS.items():
        _add_asset(router, path, kept.joinpath(name).read_bytes(), media)
    _add_receipts(router, service.desk)
    return router


def _add_asset(router: APIRouter, path: str, content: bytes, media: str) -> None:
    headers = {**GUARDS, "cache-control": "no-cache"}

    @router.get(path, response_class=Response, responses=_texts(media.partition(";")[0]))
    async def asset() -> Response:
        """A file of the page for people."""
        return Response(content, media_type=media, headers=headers)


def _add_receipts(router: APIRouter, desk: Desk) -> None:
    headers = {**GUARDS, "cache-control": "no-store", "vary": "accept"}

    @router.get(
        PATH + "{receipt_id}",
        response_class=Response,
        responses={**_texts("text/html", "application/json"), **faults(404)},
    )
    async def receipt(request: Request, receipt_id: str) -> Response:
        """The receipt at an address, which is a secret: a page, or JSON for who accepts that."""
        found = desk.show(receipt_id) if RECEIPT_ID.fullmatch(receipt_id) else None
        if found is None:
            return error_answer(404, "not_found", "there is no receipt at this address")
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(found, headers=headers)
        return HTMLResponse(page(found), headers=headers)


def _texts(*media: str) -> Described:
    """Describe a 200 in one of these forms."""
    kinds = {one: {"schema": {"type": "object" if "json" in one else "string"}} for one in media}
    return {200: {"description": "It.", "content": kinds}}

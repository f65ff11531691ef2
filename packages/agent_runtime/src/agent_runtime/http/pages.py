"""What a browser asks for: the page for people at `/app`, and receipts.

Everything is this plane's own, read once at the start. The policy lets a page load its own style
and script and talk to its own origin, and nothing else; an address of a receipt is a secret, so no
page tells another site where the reader came from.
"""

import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from agent_runtime.http.envelope import error_answer
from agent_runtime.receipts.desk import PATH, Desk
from agent_runtime.receipts.page import page

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


def page_routes(desk: Desk) -> list[Route]:
    """The routes of this module."""
    kept = files("agent_runtime.web")
    assets = [
        _asset(path, kept.joinpath(name).read_bytes(), media)
        for path, (name, media) in ASSETS.items()
    ]
    return [*assets, _receipts(desk)]


def _asset(path: str, content: bytes, media: str) -> Route:
    headers = {**GUARDS, "cache-control": "no-cache"}

    async def answer(_: Request) -> Response:
        return Response(content, media_type=media, headers=headers)

    return Route(path, answer)


def _receipts(desk: Desk) -> Route:
    headers = {**GUARDS, "cache-control": "no-store", "vary": "accept"}

    async def answer(request: Request) -> Response:
        receipt_id = request.path_params["receipt_id"]
        found = desk.show(receipt_id) if RECEIPT_ID.fullmatch(receipt_id) else None
        if found is None:
            return error_answer(404, "not_found", "there is no receipt at this address")
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(found, headers=headers)
        return HTMLResponse(page(found), headers=headers)

    return Route(PATH + "{receipt_id}", answer)

"""Neynar's API as far as a bot needs it: publish a cast, ask for the signer."""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.faults import Call
from sandbox.web import Answer, Request, json_answer

CAST_BYTES_MAX: Final = 1_024
_CASTS_MAX: Final = 10_000
_HASH: Final = re.compile(r"0x[0-9a-f]{40}")


@dataclass(slots=True)
class Neynar:
    """The stand-in: one app with one key, one approved signer, and what was cast through it.

    The same `idem` gets the first cast again and publishes nothing.
    """

    key: str
    signer: str
    fid: int
    name: str = "neynar"
    casts: list[dict[str, Any]] = field(default_factory=list)
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def identify(self, request: Request) -> Call:
        """Name the call by its last path element: `cast`, `signer`."""
        operation = request.path.rstrip("/").rpartition("/")[2] or "root"
        return Call(self.name, operation, {"api_key": request.headers.get("x-api-key", "")})

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer one request."""
        given = request.headers.get("x-api-key", "").encode()
        if wrong == "unauthorized" or not hmac.compare_digest(given, self.key.encode()):
            return _refuse(401, "Unauthorized", "Invalid API key")
        if wrong == "html":
            page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Answer(502, page, {"content-type": "text/html"})
        match request.method, request.path:
            case "POST", "/v2/farcaster/cast":
                return self._publish(request, with_hash=wrong != "no_hash")
            case "GET", "/v2/farcaster/signer":
                return self._show_signer(request)
            case _:
                return _refuse(404, "NotFound", f"no {call.operation} here")

    def _publish(self, request: Request, *, with_hash: bool) -> Answer:
        body = request.json_object()
        text, parent, idem = (body.get(name) for name in ("text", "parent", "idem"))
        if body.get("signer_uuid") != self.signer:
            return _refuse(404, "SignerNotFound", "Signer not found")
        if not isinstance(text, str) or not 0 < len(text.encode()) <= CAST_BYTES_MAX:
            return _refuse(400, "InvalidField", f"text: 1 to {CAST_BYTES_MAX} bytes")
        if not isinstance(parent, str) or not _HASH.fullmatch(parent):
            return _refuse(400, "InvalidField", "parent: a cast's hash")
        cast = self._known.get(idem) if isinstance(idem, str) and idem else None
        if cast is None:
            if len(self.casts) >= _CASTS_MAX:
                return _refuse(429, "RateLimited", f"at most {_CASTS_MAX} casts")
            author = {"object": "user_dehydrated", "fid": self.fid}
            digest = "0x" + secrets.token_hex(20)
            cast = {"hash": digest, "author": author, "text": text, "parent": parent}
            self.casts.append(cast)
            if isinstance(idem, str) and idem:
                self._known[idem] = cast
        shown = {name: cast[name] for name in ("hash", "author", "text")}
        if not with_hash:
            del shown["hash"]
        return json_answer({"success": True, "cast": shown})

    def _show_signer(self, request: Request) -> Answer:
        if request.query.get("signer_uuid") != self.signer:
            return _refuse(404, "SignerNotFound", "Signer not found")
        return json_answer({"signer_uuid": self.signer, "status": "approved", "fid": self.fid})


def _refuse(status: int, code: str, message: str) -> Answer:
    return json_answer({"code": code, "message": message}, status)

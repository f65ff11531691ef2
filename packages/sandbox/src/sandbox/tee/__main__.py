"""A dstack guest agent for a laptop: it answers `/Info` and `/Version`, and makes NO quotes.

Start it with `python -m sandbox.tee --uds PATH` (or `--port N`). It stands for the socket that a
real confidential machine offers its containers (rails §6), so that "the guest agent went away" can
be played: while the file named by `--gone-file` exists, calls are taken and never answered. Nothing
it says is evidence of anything; what needs a quote gets 501.
"""

import argparse
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

VERSION = "0.5.4-sandbox"
NO_QUOTES = "this guest agent is a stand-in and makes no quotes"


@dataclass(frozen=True)
class Identity:
    """Who the stand-in says the machine is.

    Attributes:
        app_id: 40 hex digits; follows from the name, so that it survives a restart.
        instance_id: 40 hex digits; new at every start.
    """

    name: str
    app_id: str
    instance_id: str

    @classmethod
    def of(cls, name: str) -> "Identity":
        """Make an identity for one start of the machine called `name`."""
        return cls(name, _digest(f"app {name}"), secrets.token_hex(20))

    def info(self) -> dict[str, Any]:
        """The body of `/Info`, without anything that only a quote could back."""
        return {
            "app_id": self.app_id,
            "instance_id": self.instance_id,
            "app_name": self.name,
            "device_id": _digest(f"device {self.name}"),
            "tcb_info": "{}",
            "key_provider_info": "",
            "compose_hash": "",
            "os_image_hash": "",
        }


class Gone:
    """ASGI middleware: takes a call and never answers it while `is_gone` says so."""

    def __init__(self, app: ASGIApp, is_gone: Callable[[], bool]) -> None:
        self._app = app
        self._is_gone = is_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or wait until the caller gives up."""
        if scope["type"] == "http" and self._is_gone():
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await self._app(scope, receive, send)


def make_app(identity: Identity, gone_file: Path | None) -> ASGIApp:
    """The guest agent's routes; both verbs are taken, as the real one does."""

    async def info(_: Request) -> Response:
        return JSONResponse(identity.info())

    async def version(_: Request) -> Response:
        return JSONResponse({"version": VERSION, "rev": "sandbox"})

    async def no_quote(_: Request) -> Response:
        return JSONResponse({"error": NO_QUOTES}, 501)

    verbs = ["GET", "POST"]
    refused = ("/GetQuote", "/Attest", "/GetKey", "/GetTlsKey", "/EmitEvent")
    app = Starlette(
        routes=[
            Route("/Info", info, methods=verbs),
            Route("/Version", version, methods=verbs),
            *(Route(path, no_quote, methods=verbs) for path in refused),
        ]
    )
    return Gone(app, lambda: gone_file is not None and gone_file.exists())


def main(argv: list[str] | None = None) -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.tee", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds", help="path of the Unix socket to listen on")
    where.add_argument("--port", type=int, help="TCP port on 127.0.0.1 to listen on")
    parser.add_argument("--name", default="phala", help="name of the machine; decides its app_id")
    parser.add_argument("--gone-file", type=Path, help="while it exists, nothing is answered")
    args = parser.parse_args(argv)
    uvicorn.run(
        make_app(Identity.of(args.name), args.gone_file),
        host="127.0.0.1",
        port=args.port or 0,
        uds=args.uds,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(b"sandbox tee " + text.encode()).hexdigest()[:40]


if __name__ == "__main__":
    main()

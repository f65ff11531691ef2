"""What a client can ask of a gateway: the paths, who may use them, and what is not served."""

from functools import partial
from typing import TYPE_CHECKING

from cutover.gateway import agent, process, views, webhook
from cutover.gateway.answers import bodiless, encode, error_answer, json_answer
from cutover.gateway.message import WEBHOOK, Request

if TYPE_CHECKING:
    from cutover.gateway.board import Board
    from cutover.gateway.client import Client
    from cutover.gateway.message import Route


class Surface:
    """The routes of one worker."""

    def __init__(self) -> None:
        self._routes: dict[bytes, dict[bytes, Route]] = {
            b"/process": {b"POST": process.take},
            b"/api/agent": {b"POST": agent.take, b"GET": agent.take_status},
            b"/ready": {b"GET": _ready},
        }
        for path in views.APP:
            self._routes[path] = {b"GET": views.take_app}

    def route(self, request: Request) -> "Route":
        """What answers such a request, now or when its plane has; be it by a refusal."""
        methods = self._routes.get(request.url)
        if methods is None:
            methods = self._by_path(request.path())
        if request.method == b"HEAD":
            return partial(_head, methods)
        if methods is None:
            return _not_found
        route = methods.get(request.method)
        if route is None:
            return partial(_not_allowed, b", ".join(sorted(methods)))
        if b"content-length" not in request.fields and _lacks_length(request):
            return _length_required
        return route

    def _by_path(self, path: bytes) -> "dict[bytes, Route] | None":
        if path.startswith(WEBHOOK):
            return {b"POST": webhook.take}
        if path.startswith(views.RECEIPTS):
            return {b"GET": views.take_receipt}
        return self._routes.get(path)


def _not_found(board: "Board", client: "Client", request: Request, body: bytes) -> None:  # noqa: ARG001 (a Route)
    client.say(404, "nothing is served here", "not_found")


def _not_allowed(
    allowed: bytes, board: "Board", client: "Client", request: Request, body: bytes,  # noqa: ARG001 (a Route)
) -> None:  # fmt: skip
    client.reply(_only(allowed, client.ending))


def _only(allowed: bytes, close: bytes) -> bytes:
    said = f"only {allowed.decode()} is served here"
    return error_answer(405, said, "method_not_allowed", b"allow: %b\r\n%b" % (allowed, close))


def _head(
    methods: "dict[bytes, Route] | None", board: "Board", client: "Client",  # noqa: ARG001 (a Route)
    request: Request, body: bytes,  # noqa: ARG001 (a Route)
) -> None:  # fmt: skip
    """No path serves HEAD, and its answer must not have a body all the same."""
    if methods is None:
        answer = error_answer(404, "nothing is served here", "not_found", client.ending)
    else:
        answer = _only(b", ".join(sorted(methods)), client.ending)
    client.reply(bodiless(answer))


def _length_required(
    board: "Board", client: "Client", request: Request, body: bytes,  # noqa: ARG001 (a Route)
) -> None:  # fmt: skip
    client.refuse(411, "a body needs Content-Length or chunked coding", "length_required")


def _lacks_length(request: Request) -> bool:
    return request.method == b"POST" and b"transfer-encoding" not in request.fields


def _ready(
    board: "Board",
    client: "Client",
    request: Request,  # noqa: ARG001 (a Route)
    body: bytes,  # noqa: ARG001 (a Route)
) -> None:
    """Whether this node can route: it has a table, and all its workers run."""
    reasons = []
    if board.standing() is None:
        reasons.append("no routing table has ever been received")
    alive = board.workers_alive()
    if alive < board.config.workers:
        reasons.append(f"{alive} of {board.config.workers} workers are running")
    if board.draining:
        reasons.append("the node is stopping")
    said = encode({"ready": not reasons, "reasons": reasons})
    client.reply(json_answer(503 if reasons else 200, said, client.ending))

"""Outgoing HTTP: every call has a deadline and a size limit, and foreign faults are translated.

`ask` returns an answer for any HTTP status: what a status means is the rail's business. It raises
`RailUnknown` when there is no complete answer, because the request may have been acted upon.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from agent_runtime.connections import Connections, NoAnswer
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.watching import AMBIGUOUS, Nobody, Watch

ANSWER_MAX_BYTES = 4 * 1024 * 1024
SHOWN_CHARS = 180


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer.

    Attributes:
        service: who answered, in the words of `/health`.
        status: HTTP status.
        headers: its headers, names in lower case.
        body: all of it, at most `ANSWER_MAX_BYTES`.
    """

    service: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            RailUnknown: it is not JSON (an HTML page, a truncated body).
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise RailUnknown(self.service, f"HTTP {self.status} whose body is not JSON") from error

    def expect(self, *statuses: int) -> "Answer":
        """This answer, if its status is one of these.

        Raises:
            RailError: another status below 500, except 408, 425 and 429.
            RailUnknown: one of those, or 5xx.
        """
        if self.status in statuses:
            return self
        ambiguous = self.status >= 500 or self.status in AMBIGUOUS
        kind = RailUnknown if ambiguous else RailError
        raise kind(self.service, f"HTTP {self.status} {self._said()}".rstrip())

    def _said(self) -> str:
        """The error text of a JSON answer, in one line; nothing of any other body."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        if not isinstance(found, dict):
            return ""
        said = found.get("message") or found.get("error") or found.get("code") or ""
        return " ".join(str(said).split())[:SHOWN_CHARS]


def new_client(socket: str = "", watch: Watch | None = None) -> Connections:
    """A client that reads nothing from the environment and follows no redirect.

    Args:
        socket: path of a Unix socket that every connection goes to; empty for the network.
        watch: is told of every call.
    """
    return Connections(ANSWER_MAX_BYTES, socket, watch or Nobody())


async def ask(
    client: Connections,
    service: str,
    method: str,
    url: str,
    *,
    deadline_seconds: float,
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    content: bytes = b"",
) -> Answer:
    """Send one request and read the whole answer within the deadline.

    Raises:
        RailUnknown: deadline passed, connection failed, or the answer is too large.
    """
    if params:
        url += ("&" if "?" in url else "?") + urlencode(params)
    try:
        with client.watch.call(service, method) as told:
            async with asyncio.timeout(deadline_seconds):
                reply = await client.request(method, url, headers or {}, content)
            told(reply.status)
    except TimeoutError as error:
        raise RailUnknown(service, f"timed out after {deadline_seconds:g} s") from error
    except NoAnswer as error:
        raise RailUnknown(service, f"network failure ({error})") from error
    except (OSError, ValueError) as error:
        raise RailUnknown(service, f"network failure ({type(error).__name__})") from error
    return Answer(service, reply.status, reply.headers, reply.body)


def encode(value: Any) -> bytes:
    """JSON bytes; integers stay exact, whatever their size."""
    return json.dumps(value, separators=(",", ":")).encode()

"""A node's side of the conversation with the conductor (`cutover.evidence.wire`)."""

import contextlib
import ssl
from typing import Final

import httpx
import msgspec

from cutover.errors import CutoverError
from cutover.evidence.wire import GRANT_BYTES_MAX, Grant, NodeReport
from cutover.gateway.page import TABLE_BYTES_MAX
from cutover.routing.table import RoutingTable

WAIT_MS: Final = 20_000
CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0


class LinkError(CutoverError):
    """The conductor was not reached, or said something that cannot be used."""


class Link:
    """HTTP towards one conductor.

    Args:
        url: of the conductor.
        token: that proves the node to it.
    """

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(),
            trust_env=False,  # tables and the token never go through a proxy of the environment
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def newer_table(self, node: str, has: RoutingTable | None) -> RoutingTable | None:
        """Wait for a table that is newer than the given one; None if none came in time.

        Numbers are those of a run, so the run is told too.

        Raises:
            LinkError: no answer, or none that is a table.
        """
        params: dict[str, str | int] = {
            "node": node, "run": has.run if has else "", "term": has.term if has else 0,
            "generation": has.generation if has else 0, "wait_ms": WAIT_MS,
        }  # fmt: skip
        try:
            status, body = await self._get("/v1/table", params)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LinkError(f"no table from the conductor: {_said(error)}") from error
        if status == 204:
            return None
        if status != 200:
            raise LinkError(f"the conductor answered {status} to the request for a table")
        try:
            return msgspec.json.decode(body, type=RoutingTable)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise LinkError(f"the conductor's table cannot be read: {error}") from error

    async def report(self, report: NodeReport) -> Grant:
        """Deliver a report; returns what the conductor answered.

        Raises:
            LinkError: it was not acknowledged, or not with a grant.
        """
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        headers = {"content-type": "application/json"}
        body = msgspec.json.encode(report)
        request = self._client.build_request(
            "POST", "/v1/report", content=body, headers=headers, timeout=timeout
        )
        try:
            status, said = await self._ask(request, "grant", GRANT_BYTES_MAX)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LinkError(f"the report was not delivered: {_said(error)}") from error
        if status != 200:
            raise LinkError(f"the conductor answered {status} to the report, expected 200")
        try:
            return msgspec.json.decode(said, type=Grant).checked()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise LinkError(f"the conductor's grant cannot be read: {error}") from error

    async def _get(self, path: str, params: dict[str, str | int]) -> tuple[int, bytes]:
        timeout = httpx.Timeout(WAIT_MS / 1000 + ANSWER_SECONDS, connect=CONNECT_SECONDS)
        request = self._client.build_request("GET", path, params=params, timeout=timeout)
        return await self._ask(request, "table", TABLE_BYTES_MAX)

    async def _ask(self, request: httpx.Request, what: str, limit: int) -> tuple[int, bytes]:
        body = bytearray()
        answer = await self._client.send(request, stream=True)
        async with contextlib.aclosing(answer):
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > limit:
                    raise LinkError(f"the conductor's {what} exceeds {limit} bytes")
        return answer.status_code, bytes(body)


def _said(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()

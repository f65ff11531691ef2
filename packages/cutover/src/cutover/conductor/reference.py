"""Our own connectivity: something that is neither plane and should always answer."""

import asyncio

import httpx

from cutover.conductor.plane_client import fetch
from cutover.evidence.planes import DETAIL_CHARS_MAX


class HttpReference:
    """An address outside both planes; any answer below 500 says that we are online."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def reachable(self, deadline_ms: int) -> tuple[bool, str]:
        """Whether the reference answered in time."""
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                answer = await fetch(self._client, "GET", self._url)
        except TimeoutError:
            return False, f"no answer within {deadline_ms} ms"
        except httpx.HTTPError as error:
            return False, f"{type(error).__name__}: {error}"[:DETAIL_CHARS_MAX]
        fine = answer.status is not None and answer.status < 500
        return fine, answer.summary()

"""Our own connectivity: something that is neither plane and should always answer."""

import httpx

from cutover.conductor.plane_client import ask


class HttpReference:
    """An address outside both planes; any answer below 500 says that we are online."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def reachable(self, deadline_ms: int) -> tuple[bool, str]:
        """Whether the reference answered in time."""
        answer = await ask(self._client, "GET", self._url, deadline_ms)
        fine = answer.status is not None and answer.status < 500
        return fine, answer.summary()

"""Turns the knobs of stand-ins: their control endpoints, found in the files that they leave."""

import json
from pathlib import Path
from typing import Any

import httpx

from cutover.demo.processes import DemoError

SECONDS_MAX = 5.0


class Controls:
    """One stand-in's control endpoint.

    Args:
        address: base URL.
        token: bearer token.
    """

    def __init__(self, address: str, token: str) -> None:
        self._address = address
        self._headers = {"authorization": f"Bearer {token}"}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Controls":
        """The endpoint of a stand-in by what it wrote when it began to listen."""
        return cls(state["control"], state["control_token"])

    def get(self, path: str) -> dict[str, Any]:
        """Ask; returns the answer's object.

        Raises:
            DemoError: it refuses or is not there.
        """
        return self._ask("GET", path, None)

    def put(self, path: str, body: object) -> dict[str, Any]:
        """Set something; raises as `get` does."""
        return self._ask("PUT", path, body)

    def patch(self, path: str, body: object) -> dict[str, Any]:
        """Change a part of something; raises as `get` does."""
        return self._ask("PATCH", path, body)

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Make something happen; raises as `get` does."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        url = self._address + path
        try:
            answer = httpx.request(
                method, url, headers=self._headers, json=body, timeout=SECONDS_MAX, trust_env=False
            )
        except httpx.HTTPError as error:
            raise DemoError(f"{method} {url}: {type(error).__name__} {error}") from error
        if answer.status_code >= 300:
            raise DemoError(f"{method} {url} answers {answer.status_code}: {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found


def state_of(file: Path) -> dict[str, Any]:
    """What a stand-in wrote when it began to listen."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found

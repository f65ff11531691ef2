"""The CLI as a client of a running conductor."""

from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from cutover.app import conductor_url
from cutover.conductor.credentials import OPERATOR_FILE, read_token
from cutover.decision.command import Command
from cutover.decision.status import Explanation, Status
from cutover.errors import CutoverError, OrderRefusedError, UnreachableError

DEADLINE_SECONDS = 10.0
T = TypeVar("T")


class Conductor:
    """A running conductor, found by its data directory.

    Raises:
        ConfigurationError: none runs there, or its token cannot be read.
    """

    def __init__(self, data: Path) -> None:
        self._url = conductor_url(data)
        token = read_token(data / OPERATOR_FILE)
        self._http = httpx.Client(
            base_url=self._url,
            timeout=DEADLINE_SECONDS,
            trust_env=False,
            headers={"authorization": f"Bearer {token}"},
        )

    def status(self) -> Status:
        """How the run stands."""
        return self._get("/v1/status", Status)

    def explain(self) -> Explanation:
        """Why it stands there."""
        return self._get("/v1/explain", Explanation)

    def order(self, command: Command, *, dry_run: bool = False) -> Status:
        """Give an order.

        Raises:
            OrderRefusedError: it does not apply now.
        """
        answer = self._ask(
            "POST",
            "/v1/orders",
            params={"dry_run": str(dry_run).lower()},
            content=msgspec.json.encode(command),
        )
        return msgspec.json.decode(answer.content, type=Status)

    def _get(self, path: str, kind: type[T]) -> T:
        return msgspec.json.decode(self._ask("GET", path).content, type=kind)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"the conductor at {self._url} does not answer ({error}); gateways go on with "
                "their last table meanwhile. Start it again with the same `cutover run`"
            ) from error
        if answer.status_code == 409:
            raise OrderRefusedError(answer.json()["error"])
        if answer.status_code != 200:
            raise CutoverError(f"the conductor answers {answer.status_code}: {answer.text[:200]}")
        return answer

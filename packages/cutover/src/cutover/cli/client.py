"""The CLI as a client of a running conductor."""

from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from cutover.conductor.address import conductor_url
from cutover.conductor.credentials import OPERATOR_FILE, read_token
from cutover.decision.command import Command
from cutover.decision.status import Explanation, Status
from cutover.errors import CutoverError, OrderRefusedError, UnreachableError

DEADLINE_SECONDS = 10.0
T = TypeVar("T")


class _Said(msgspec.Struct):
    """The API's one error shape, as far as people read it."""

    error: str


class Conductor:
    """A running conductor, found by its data directory.

    Raises:
        UnreachableError: none runs there.
        ConfigurationError: its token cannot be read.
    """

    def __init__(self, data: Path) -> None:
        self._url = conductor_url(data)
        token = read_token(data / OPERATOR_FILE)
        self._headers = {"authorization": f"Bearer {token}"}

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
        return self._read(answer, Status)

    def _get(self, path: str, kind: type[T]) -> T:
        return self._read(self._ask("GET", path), kind)

    def _read(self, answer: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreachableError(
                f"what answers at {self._url} is no conductor of this version ({error}): compare "
                "`cutover --version` here and there"
            ) from error

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            with httpx.Client(timeout=DEADLINE_SECONDS, trust_env=False) as client:
                answer = client.request(method, self._url + path, headers=self._headers, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnreachableError(
                f"the conductor at {self._url} does not answer ({error}); gateways go on with "
                "their last table meanwhile. Start it again with the same `cutover run`"
            ) from error
        if answer.status_code == 200:
            return answer
        said = self._read(answer, _Said)
        if answer.status_code == 409:
            raise OrderRefusedError(said.error)
        raise CutoverError(f"the conductor answers {answer.status_code}: {said.error}")

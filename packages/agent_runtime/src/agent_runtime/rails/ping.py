"""Ping Pay over HTTP (rails §4): its health, and orders to pay out.

The form `distribute` is the one that the existing service used; it is in no public document. So
nothing that it answers counts as a payment, and what repeats an order repeats its very bytes under
its very key. Every call has a deadline and says what came back, never what it hopes for.
"""

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailUnknown
from agent_runtime.rails import ping_answers
from agent_runtime.rails.ping_answers import Answer, Unknown
from agent_runtime.settings import Settings

PROBE_SECONDS = 5.0
PLACE_SECONDS = 8.0
LOOK_SECONDS = 4.0
SERVICE = "pingpay"


class Ping:
    """Ping Pay's API."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    @property
    def configured(self) -> bool:
        """Whether there is a key."""
        return bool(self._settings.ping_key)

    async def probe(self) -> wire.Answer:
        """Ask the configured probe path; any HTTP answer is returned.

        Raises:
            RailUnknown: no complete answer.
        """
        settings = self._settings
        body = settings.ping_probe_body if settings.ping_probe_method == "POST" else ""
        method, path = settings.ping_probe_method, settings.ping_probe_path
        return await self._ask(method, path, PROBE_SECONDS, body.encode())

    async def place(self, key: str, request: bytes) -> Answer:
        """Send one order, once.

        Args:
            key: the order's own; Ping answers a repetition with what it did the first time.
            request: the order's bytes, stored before; the same ones under the same key, always.
        """
        path, named = self._settings.ping_intents_path, {"idempotency-key": key}
        try:
            found = await self._ask("POST", path, PLACE_SECONDS, request, named)
        except RailUnknown as error:
            return Unknown(error.said)
        return ping_answers.read(found)

    async def look_up(self, remote_id: str) -> Answer:
        """Ask what became of an order; moves nothing.

        Args:
            remote_id: as `place` told it. A refusal says nothing about the order itself.
        """
        path = f"{self._settings.ping_intents_path.rstrip('/')}/{remote_id}"
        try:
            found = await self._ask("GET", path, LOOK_SECONDS)
        except RailUnknown as error:
            return Unknown(error.said)
        return ping_answers.read(found, remote_id)

    async def _ask(
        self,
        method: str,
        path: str,
        seconds: float,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> wire.Answer:
        return await wire.ask(
            self._client,
            SERVICE,
            method,
            self._settings.ping_base.rstrip("/") + "/" + path.lstrip("/"),
            deadline_seconds=seconds,
            headers={
                "content-type": "application/json",
                **self._authorization(),
                **(headers or {}),
            },
            content=content,
        )

    def _authorization(self) -> dict[str, str]:
        key = self._settings.ping_key
        default = "publishable" if key.startswith("pk_") else "bearer"
        if (self._settings.ping_auth or default) == "publishable":
            return {"x-publishable-key": key}
        return {"authorization": f"Bearer {key}"}

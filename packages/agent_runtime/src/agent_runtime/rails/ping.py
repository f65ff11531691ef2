"""Ping Pay over HTTP (rails §4): its health, and orders to pay out."""

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.settings import Settings

PROBE_SECONDS = 5.0


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
        return await wire.ask(
            self._client,
            "pingpay",
            settings.ping_probe_method,
            settings.ping_base + "/" + settings.ping_probe_path.lstrip("/"),
            deadline_seconds=PROBE_SECONDS,
            headers={"content-type": "application/json", **self._authorization()},
            content=body.encode(),
        )

    def _authorization(self) -> dict[str, str]:
        key = self._settings.ping_key
        default = "publishable" if key.startswith("pk_") else "bearer"
        if (self._settings.ping_auth or default) == "publishable":
            return {"x-publishable-key": key}
        return {"authorization": f"Bearer {key}"}

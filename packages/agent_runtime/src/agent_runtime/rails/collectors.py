"""HOT (rails §3): a system that collects money. Probed here, never used to pay out."""

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.settings import Settings

PROBE_SECONDS = 5.0


class Hot:
    """HOT Pay, as far as a health probe needs it."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    @property
    def configured(self) -> bool:
        """Whether there is a token."""
        return bool(self._settings.hot_jwt)

    async def probe(self) -> wire.Answer:
        """Ask for one processed payment; any HTTP answer is returned.

        Raises:
            RailUnknown: no complete answer.
        """
        return await wire.ask(
            self._client,
            "hotpay",
            "GET",
            self._settings.hot_base + "/partners/processed_payments",
            deadline_seconds=PROBE_SECONDS,
            headers={"authorization": f"Bearer {self._settings.hot_jwt}"},
            params={"limit": "1"},
        )

"""Whether this process runs beside a dstack guest agent, asked again and again (rails §6).

A guest agent that answers is the only honest hint a process has; it is no proof. Proof is what a
verifier concludes from a fresh quote. When the agent stops answering, the claim is gone.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.flight import Flight

DEFAULT_SOCKET = "/var/run/dstack.sock"
FRESH_SECONDS = 10.0
DEADLINE_SECONDS = 1.0


@dataclass(frozen=True)
class Guest:
    """What the guest agent says of this machine; both are never empty."""

    app_id: str
    instance_id: str


class TeeWatch:
    """Remembers the guest agent's last answer for at most `FRESH_SECONDS`."""

    def __init__(self, endpoint: str) -> None:
        self._client, self._url = _connect(endpoint)
        self._guest: Guest | None = None
        self._asked_at = float("-inf")
        self._asking: Flight[None] = Flight()

    async def guest(self) -> Guest | None:
        """Who the guest agent says we are; None if there is none or it does not answer.

        Halfway to its age limit an answer is renewed while it still serves, so that an agent that
        hangs delays nobody who is asked often.
        """
        age = time.monotonic() - self._asked_at
        if age >= FRESH_SECONDS:
            await self._asking.share("guest", self._refresh)
        elif age >= FRESH_SECONDS / 2:
            self._asking.begin_nowait("guest", self._refresh)
        return self._guest

    async def _refresh(self) -> None:
        self._guest = await self._ask()
        self._asked_at = time.monotonic()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()

    async def _ask(self) -> Guest | None:
        if self._client is None:
            return None
        try:
            answer = await wire.ask(
                self._client,
                "dstack",
                "POST",
                self._url + "/Info",
                deadline_seconds=DEADLINE_SECONDS,
                headers={"content-type": "application/json"},
                content=b"{}",
            )
            return _guest(answer.expect(200).json())
        except RailError:
            return None  # no answer is no claim; /health shows the consequence


def _guest(found: object) -> Guest:
    if isinstance(found, dict):
        app_id, instance_id = found.get("app_id"), found.get("instance_id")
        if isinstance(app_id, str) and isinstance(instance_id, str) and app_id and instance_id:
            return Guest(app_id, instance_id)
    raise RailUnknown("dstack", "an Info answer without app_id and instance_id")


def _connect(endpoint: str) -> tuple[Connections | None, str]:
    if endpoint.startswith(("http://", "https://")):
        return wire.new_client(), endpoint.rstrip("/")
    path = endpoint or (DEFAULT_SOCKET if Path(DEFAULT_SOCKET).exists() else "")
    return (wire.new_client(path), "http://dstack") if path else (None, "")

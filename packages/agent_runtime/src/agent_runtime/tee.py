"""Whether this process runs in a TEE, asked again and again (rails §6).

The guest agent must give a quote over bytes that we have just drawn, about the app that it says we
are. That is more than a process that answers on a socket, and still no proof: nobody here verifies
the quote. Proof is what a verifier concludes from evidence that it asked for itself. When the agent
stops answering, the claim is gone within `FRESH_SECONDS`.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass

from agent_runtime.attestation.quote import fault_of
from agent_runtime.dstack import REPORT_DATA_SIZE, GuestAgent
from agent_runtime.errors import RailError
from agent_runtime.flight import Flight
from agent_runtime.log import logger

FRESH_SECONDS = 10.0
DEADLINE_SECONDS = 3.0
PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Guest:
    """Who the guest agent says we are; `instance_id` is empty where the app has none."""

    app_id: str
    instance_id: str


class TeeWatch:
    """Remembers for at most `FRESH_SECONDS`, from the question on, that the agent gave a quote.

    Args:
        agent: None where there is none: then nothing is claimed.
    """

    def __init__(self, agent: GuestAgent | None) -> None:
        self._agent = agent
        self._guest: Guest | None = None
        self._fault = ""
        self._asked_at = float("-inf")
        self._asking: Flight[None] = Flight()

    async def guest(self) -> Guest | None:
        """Who we are, if the agent has lately proved that it can quote; None if it has not.

        Halfway to its age limit an answer is renewed while it still serves, and nobody waits longer
        than `PATIENCE_SECONDS`: an agent that is slow or hangs takes the claim, not the time.
        """
        age = time.monotonic() - self._asked_at
        if age < FRESH_SECONDS / 2:
            return self._guest
        asking = self._asking.begin_nowait("guest", self._refresh)
        if age < FRESH_SECONDS:
            return self._guest
        await asyncio.wait({asking}, timeout=PATIENCE_SECONDS)
        if not asking.done():
            return None
        asking.result()
        return self._guest

    async def _refresh(self) -> None:
        begun = time.monotonic()
        guest, fault = await self._ask()
        if fault != self._fault:
            logger().warning("tee_claim", claimed=guest is not None, fault=fault)
        self._guest, self._fault, self._asked_at = guest, fault, begun

    async def _ask(self) -> tuple[Guest | None, str]:
        """The agent's answer, or why there is no claim."""
        if self._agent is None:
            return None, ""
        drawn = secrets.token_bytes(REPORT_DATA_SIZE)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                info = await self._agent.info()
                found = await self._agent.quote(drawn)
        except TimeoutError:
            return None, f"no quote within {DEADLINE_SECONDS:g} s"
        except RailError as error:
            return None, error.said
        fault = fault_of(found, drawn, info)
        return (None, fault) if fault else (Guest(info.app_id, info.instance_id), "")

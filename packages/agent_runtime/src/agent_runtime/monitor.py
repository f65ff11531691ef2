"""Runs the canary at the start and ever again, so that what `/health` says rests on something."""

import asyncio
from typing import Protocol

from agent_runtime.log import logger

AGAIN_SECONDS = 30.0


class Asked(Protocol):
    """What is run."""

    async def run(self) -> dict[str, object]:
        """One round."""
        ...


async def keep_asking(canary: Asked, every_seconds: float) -> None:
    """Never returns; after a round that was not well the next one comes sooner."""
    while True:
        ok = False
        try:
            ok = (await canary.run())["ok"] is True
        except Exception:  # noqa: BLE001 - logged; the next round must come
            logger().exception("canary_broke")
        await asyncio.sleep(every_seconds if ok else min(AGAIN_SECONDS, every_seconds))

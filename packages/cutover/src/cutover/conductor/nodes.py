"""Gateway nodes as the conductor hears them: what they report, and when they fall silent.

Nodes report many times a second and mostly say the same. Only what changes something is
journaled; silence is journaled once. Only a report is a sign of life: a node that merely asks for
tables tells nothing of its traffic.
"""

import asyncio
from collections.abc import Awaitable, Callable

from cutover.clock import ObservedClock
from cutover.decision.fact import Fact
from cutover.decision.words import span
from cutover.evidence.observation import GatewayReport, GatewaySilent

Submit = Callable[[Fact], Awaitable[None]]


class Nodes:
    """The nodes of one run.

    Args:
        clock: when something was heard.
        silent_ms: after which a node counts as silent.
        submit: where observations go.
        known: nodes that the journal tells of; each must be heard again.
    """

    def __init__(
        self, clock: ObservedClock, silent_ms: int, submit: Submit, known: tuple[str, ...]
    ) -> None:
        self._clock = clock
        self._silent_ms = silent_ms
        self._submit = submit
        self._heard = dict.fromkeys(known, clock.now_ms())
        self._last: dict[str, GatewayReport] = {}

    async def reported(self, seen: GatewayReport) -> None:
        """Take a report; it is journaled if it says anything new."""
        self._heard[seen.node] = self._clock.now_ms()
        if seen.counts or seen.conversations or _standing(seen) != self._standing_of(seen.node):
            self._last[seen.node] = seen
            await self._submit(seen)

    def _standing_of(self, node: str) -> tuple[object, ...] | None:
        last = self._last.get(node)
        return _standing(last) if last is not None else None

    async def watch(self) -> None:
        """Notice silence until cancelled."""
        while True:
            await asyncio.sleep(self._until_silence())
            now = self._clock.now_ms()
            for node, at in list(self._heard.items()):
                if now - at > self._silent_ms:
                    del self._heard[node]
                    self._last.pop(node, None)
                    await self._submit(GatewaySilent(node, f"no report for {span(now - at)}"))

    def _until_silence(self) -> float:
        """Seconds until a node could be silent; one that is first heard meanwhile is so later."""
        now = self._clock.now_ms()
        soonest = min(self._heard.values(), default=now)
        return max(1, soonest + self._silent_ms + 1 - now) / 1000


def _standing(seen: GatewayReport) -> tuple[object, ...]:
    """What a node says of itself, counters and harmless load left aside."""
    return (
        seen.boot, seen.term, seen.generation, seen.refused_generation, seen.refused,
        seen.lost, seen.keys_match, seen.money_in_flight,
    )  # fmt: skip

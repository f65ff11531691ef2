"""The chain on which planes settle, and every submission that was ever made to a plane."""

from dataclasses import dataclass
from typing import Final

from cutover.simulator.kernel.clock import SimulatedClock
from cutover.simulator.world.texts import near_hash

FINAL_AFTER_MS: Final = 1_200
"""Milliseconds until a transaction of NEAR is final."""


@dataclass(frozen=True)
class Payment:
    """One execution of a payment.

    Attributes:
        at_ms: simulated time.
        plane: that executed it.
        key: idempotency key that came with it; empty for none.
        reference: of its transaction.
    """

    at_ms: int
    plane: str
    key: str
    reference: str


class SimulatedChain:
    """Executes payments and is asked about them; the `Chain` of the conductor's ports.

    Args:
        clock: of the world.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self.payments: list[Payment] = []
        self._wall_at: dict[str, int] = {}
        self._clock = clock
        self.answers = True

    def pay(self, plane: str, key: str) -> str:
        """Execute a payment; its transaction's reference."""
        reference = near_hash(len(self.payments))
        now = self._clock.monotonic_ms()
        self.payments.append(Payment(now, plane, key, reference))
        self._wall_at[reference] = self._clock.wall_ms()
        return reference

    async def transaction(self, reference: str, not_before_ms: int) -> tuple[bool | None, str]:
        """Whether a transaction is final, good and no older; None when it cannot be told."""
        if not self.answers:
            return None, "no RPC provider answered"
        at = self._wall_at.get(reference)
        if at is None:
            return False, f"{reference} is not on the chain"
        if at < not_before_ms:
            return False, f"{reference} is older than the gate"
        return True, f"{reference} is final"

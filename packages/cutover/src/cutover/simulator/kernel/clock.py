"""The product's clock in a simulation: monotonic time is the loop's, the wall can be pushed."""

from typing import Final

from cutover.simulator.kernel.loop import SimulationLoop

EPOCH_MS: Final = 1_800_000_000_000
"""What the wall clock says when a simulation begins; any date would do."""


class SimulatedClock:
    """One machine's clock.

    Args:
        loop: whose time passes.
    """

    def __init__(self, loop: SimulationLoop) -> None:
        self._loop = loop
        self.offset_ms = EPOCH_MS

    def monotonic_ms(self) -> int:
        """Milliseconds since the simulation began."""
        return self._loop.now_ms()

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, as this machine has it."""
        return self._loop.now_ms() + self.offset_ms

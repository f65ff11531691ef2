"""Preconditions and post-cutover checks behind one door."""

from collections.abc import Callable

from cutover.conductor.postchecks import PostChecks
from cutover.conductor.preconditions import Preconditions
from cutover.evidence.observation import PostCheckSeen, PreconditionSeen
from cutover.runbook.gate import Check, PostCheckName


class PlaneInspector:
    """Carries out what the runbook names before the first stage and after the last."""

    def __init__(
        self, before: Preconditions, afterwards: PostChecks, wall_ms: Callable[[], int]
    ) -> None:
        self._before = before
        self._after = afterwards
        self._wall_ms = wall_ms

    async def precondition(self, check: Check) -> PreconditionSeen:
        """Look at one precondition of both planes."""
        return await self._before.look(check, self._wall_ms())

    async def post_check(self, name: PostCheckName) -> PostCheckSeen:
        """Carry out one post-cutover check."""
        return await self._after.carry_out(name)

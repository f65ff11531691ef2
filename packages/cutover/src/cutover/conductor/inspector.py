"""Preconditions and post-cutover checks behind one door."""

from collections.abc import Callable, Mapping

from cutover.conductor.postchecks import PostChecks
from cutover.conductor.preconditions import Preconditions
from cutover.evidence.observation import PostCheckSeen, PreconditionSeen
from cutover.runbook.gate import Check, PostCheckName


class PlaneInspector:
    """Carries out what the runbook names before the first stage and after the last.

    Args:
        before: looks at preconditions.
        afterwards: carries out post-cutover checks.
        wall_ms: the wall clock.
        just_seen: what was found a moment ago; whatever held then is not asked for again at once.
    """

    def __init__(
        self,
        before: Preconditions,
        afterwards: PostChecks,
        wall_ms: Callable[[], int],
        just_seen: Mapping[Check, PreconditionSeen],
    ) -> None:
        self._before = before
        self._after = afterwards
        self._wall_ms = wall_ms
        self._just_seen = dict(just_seen)

    async def precondition(self, check: Check) -> PreconditionSeen:
        """Look at one precondition of both planes."""
        before = self._just_seen.pop(check, None)
        if before is not None and before.ok is True:
            return before
        return await self._before.look(check, self._wall_ms())

    async def post_check(self, name: PostCheckName) -> PostCheckSeen:
        """Carry out one post-cutover check."""
        return await self._after.carry_out(name)

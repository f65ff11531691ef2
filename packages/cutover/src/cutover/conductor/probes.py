"""What is looked at all the time: readiness, our own reference, canary rounds, attestation.

Each probe keeps its own pace from a fixed start, so that a slow answer delays nothing else and a
missed beat is skipped rather than made up for. Probes observe; they conclude nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Final, TypeVar

from msgspec.structs import replace

from cutover.conductor.ports import Attester, PlaneClient, Reference
from cutover.decision.fact import Fact
from cutover.evidence import observation as seen
from cutover.evidence.planes import Answer, read_canary, read_readiness
from cutover.runbook.document import Runbook

T = TypeVar("T")
Submit = Callable[[Fact], Awaitable[None]]
Asked = tuple[str, str, asyncio.Task[Answer]]
"""A plane's name, its identity when it was asked, and its answer to come."""

GRACE: Final = 0.25
"""Part of the canary's deadline that a failure of the candidate waits for the other plane."""


async def every(interval_ms: int, beat: Callable[[], Awaitable[None]]) -> None:
    """Call `beat` at a fixed pace for ever; the first call is at once."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await beat()
        due += interval_ms / 1000
        late = loop.time() - due
        if late > 0:
            due += interval_ms / 1000 * (late // (interval_ms / 1000) + 1)
        await asyncio.sleep(due - loop.time())


class Probes:
    """The standing probes of a run.

    Args:
        runbook: cadence and deadlines.
        planes: fallback first.
        attester: looks at what the candidate is.
        reference: our own connectivity, None when none is configured.
        submit: where observations go.
        identity: what is known of a plane now; a verdict is about what it was when it was asked.
    """

    def __init__(
        self,
        runbook: Runbook,
        planes: Sequence[PlaneClient],
        attester: Attester,
        reference: Reference | None,
        submit: Submit,
        identity: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._timing = runbook.timing
        self._runbook = runbook
        self._planes = planes
        self._attester = attester
        self._reference = reference
        self._reference_ok = True
        self._submit = submit
        self._identity = identity

    async def run(self) -> None:
        """Probe until cancelled."""
        timing = self._timing
        async with asyncio.TaskGroup() as group:
            for plane in self._planes:
                beat = _bound(self.readiness, plane)
                group.create_task(every(timing.readiness_every_ms, beat))
            group.create_task(every(timing.canary_every_ms, self.canary))
            group.create_task(every(timing.attestation_every_ms, self.attestation))
            if self._reference is not None:
                beat = _bound(self.reference, self._reference)
                group.create_task(every(timing.readiness_every_ms, beat))

    async def readiness(self, plane: PlaneClient) -> None:
        """One look at `/ready` and `/health`."""
        deadline = self._timing.readiness_deadline_ms
        ready, health = await asyncio.gather(
            plane.get("/ready", deadline), plane.get("/health", deadline)
        )
        await self._submit(read_readiness(plane.name, ready, health))

    async def canary(self) -> None:
        """One canary round: both planes at the same instant.

        A failure of the candidate waits only a short grace for the other plane's verdict, which
        tells a shared cause; a later one is a round of its own.
        """
        deadline = self._timing.canary_deadline_ms
        async with asyncio.TaskGroup() as group:
            asked = [
                (plane.name, self._identity(plane.name), group.create_task(plane.canary(deadline)))
                for plane in self._planes
            ]
            of = {name: answer for name, _, answer in asked}
            first = of.pop(self._runbook.candidate)
            fine = read_canary(self._runbook.candidate, await first).ok
            await asyncio.wait(of.values(), timeout=None if fine else deadline / 1000 * GRACE)
            in_time = [one for one in asked if one[2].done()]
            await self._round(in_time)
            await self._round([one for one in asked if one not in in_time])

    async def _round(self, asked: Sequence[Asked]) -> None:
        """Hand in a round's verdicts.

        A plane that gives no answer while our own reference fails is not to blame, nor is one that
        was not asked: its verdict is left out, and a canary rule without fresh ones is blind.
        """
        verdicts = []
        for name, identity, task in asked:
            answer = await task
            if not answer.asked or (answer.status is None and not self._reference_ok):
                continue
            verdicts.append(replace(read_canary(name, answer), identity=identity))
        if verdicts:
            await self._submit(seen.CanaryRound(scheduled=True, verdicts=tuple(verdicts)))

    async def attestation(self) -> None:
        """One look at what the candidate is."""
        deadline = self._timing.attestation_deadline_ms
        await self._submit(await looked(self._attester, deadline, "monitor"))

    async def reference(self, reference: Reference) -> None:
        """One look at our own connectivity; journaled while it fails, and when it recovers."""
        ok, detail = await reference.reachable(self._timing.readiness_deadline_ms)
        if not ok or ok != self._reference_ok:
            await self._submit(seen.Reference(ok=ok, detail=detail))
        self._reference_ok = ok


async def looked(attester: Attester, deadline_ms: int, purpose: str) -> seen.Attestation:
    """One verdict, with how long it took: what it says is as old as the question."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    verdict = await attester.look(deadline_ms, purpose)
    return replace(verdict, took_ms=max(0, ceil((loop.time() - asked) * 1000)))


def _bound(beat: Callable[[T], Awaitable[None]], of: T) -> Callable[[], Awaitable[None]]:
    return lambda: beat(of)

"""Gathers the evidence that the core asks for: live intents, preconditions, post-cutover checks.

One thing at a time, and only while it is wanted; what comes back is an observation like any other.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from cutover.conductor.loop import Loop
from cutover.conductor.ports import Attester, Chain, Inspector, PlaneClient
from cutover.conductor.probes import looked
from cutover.crashpoint import crashpoint
from cutover.decision.keys import live_key
from cutover.decision.wanted import Wanted
from cutover.evidence.answers import read_live
from cutover.evidence.observation import LiveIntent, PostCheckSeen
from cutover.runbook.document import Runbook
from cutover.runbook.gate import PostCheckName
from cutover.runbook.intent import Intent


class Gatherer:
    """Carries out what `wanted` names.

    Args:
        runbook: deadlines.
        loop: asked what is wanted, told what was seen.
        candidate: where live intents are executed.
        texts: what is said to the candidate for each live intent.
        chain: where a named transaction is looked up; None when none is configured.
        inspector: preconditions and post-cutover checks.
        attester: looks at what the candidate is.
        wall_ms: the wall clock, to tell a payment of now from one of long ago.
    """

    def __init__(
        self,
        runbook: Runbook,
        loop: Loop,
        candidate: PlaneClient,
        texts: Mapping[Intent, str],
        chain: Chain | None,
        inspector: Inspector,
        attester: Attester,
        wall_ms: Callable[[], int],
    ) -> None:
        self._runbook = runbook
        self._loop = loop
        self._candidate = candidate
        self._texts = texts
        self._chain = chain
        self._inspector = inspector
        self._attester = attester
        self._wall_ms = wall_ms

    async def run(self) -> None:
        """Gather until cancelled."""
        while True:
            want = self._loop.engine.wanted()
            if want == Wanted():
                await self._loop.wait_changed()
            else:
                await self._gather(want)

    async def _gather(self, want: Wanted) -> None:
        """What was submitted is journaled, so that the next look wants something else."""
        for check in want.preconditions:
            crashpoint("precondition.look.before")
            found = await self._inspector.precondition(check)
            crashpoint("precondition.look.after")
            await self._loop.submit(found)
        if want.attestation:
            deadline = self._runbook.timing.attestation_deadline_ms
            await self._loop.submit(await looked(self._attester, deadline, want.attestation))
        if want.live is not None:
            crashpoint("live.execute.before")
            executed = await self._live(want.live)
            crashpoint("live.execute.after")
            await self._loop.submit(executed)
        for name in want.post_checks:
            # Each takes a while, and one of them pays: what came in meanwhile may forbid it.
            if name in self._loop.engine.wanted().post_checks:
                await self._loop.submit(await self._post_check(name))

    async def _post_check(self, name: PostCheckName) -> PostCheckSeen:
        pays = name is PostCheckName.RECEIPT_TRANSACTION
        crashpoint("receipt.pay.before" if pays else "postcheck.carry.before")
        seen = await self._inspector.post_check(name)
        crashpoint("receipt.pay.after" if pays else "postcheck.carry.after")
        return seen

    async def _live(self, intent: Intent) -> LiveIntent:
        run = self._loop.engine.run
        identity = run.plane(self._candidate.name).identity
        key = live_key(run, intent, identity)
        deadline = self._runbook.timing.live_intent_deadline_ms
        oldest_ms = self._wall_ms() - self._runbook.live_intent_gate().max_age_ms
        answer = await self._candidate.process(self._texts[intent], deadline, idempotency_key=key)
        found = replace(read_live(self._candidate.name, intent, answer), identity=identity)
        if not found.ok or intent is not Intent.PAY:
            return found
        return await self._settled(found, oldest_ms)

    async def _settled(self, found: LiveIntent, oldest_ms: int) -> LiveIntent:
        """A payment counts once its transaction is final on the chain, where one can be asked."""
        reference = found.evidence["transaction"]
        if self._chain is None:
            if self._runbook.rehearsal:
                reasons = (*found.reasons, "reported only: no near_rpc is configured")
                return replace(found, reasons=reasons)
            reasons = ("the transaction cannot be looked up: configure near_rpc",)
            return replace(found, ok=False, reasons=reasons, definite=False)
        good, text = await self._chain.transaction(reference, oldest_ms)
        evidence = {**found.evidence, "chain": text}
        return replace(
            found,
            ok=good is True,
            reasons=(*found.reasons, text),
            evidence=evidence,
            definite=good is not None,
        )

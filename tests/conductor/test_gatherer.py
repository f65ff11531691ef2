"""Evidence is gathered once, while it is wanted, and a payment counts when the chain knows it."""

import asyncio

import base58
import pytest

from conductor.doubles import DEMO, PHASED, Scripted, engine
from cutover.conductor.gatherer import Gatherer
from cutover.conductor.loop import Loop
from cutover.decision.wanted import Wanted
from cutover.evidence.observation import PostCheckSeen, PreconditionSeen, Started
from cutover.evidence.planes import Answer
from cutover.runbook.gate import Check
from cutover.runbook.intent import Intent

HASH = base58.b58encode(bytes(range(2, 34))).decode()
PAID = Answer(200, {"response": f"✅ Distributed\n🔗 Transaction: {HASH}\n"})


class Chain:
    def __init__(self, *verdict):
        self.verdict, self.asked = verdict, []

    async def transaction(self, reference, not_before_ms):
        self.asked.append(reference)
        return self.verdict


class Inspector:
    def __init__(self):
        self.looked = []

    async def precondition(self, check):
        self.looked.append(check)
        return PreconditionSeen(check, False, ("no",))

    async def post_check(self, name):
        self.looked.append(name)
        return PostCheckSeen(name, True, (), {})


def made(chain=None, runbook=DEMO, answer=PAID):
    heart, _, ticks = engine(runbook=runbook)
    loop = Loop(heart, 500, lambda _: None)
    loop.begin([Started(1, "b1", 0)])
    plane, inspector = Scripted("phala"), Inspector()
    plane.answers["process"] = (0, answer)
    texts = {intent: f"{intent} a/b" for intent in Intent}
    gatherer = Gatherer(runbook, loop, plane, texts, chain, inspector, ticks.wall_ms)
    return gatherer, loop, plane, inspector, ticks


async def test_each_precondition_is_looked_at_once_and_rests():
    """What failed is not asked again at once: the gatherer waits for its pause."""
    gatherer, loop, _, inspector, ticks = made()
    tasks = [asyncio.create_task(loop.run()), asyncio.create_task(gatherer.run())]
    async with asyncio.timeout(5):
        while len(inspector.looked) < len(Check):
            await loop.wait_changed()
    for _ in range(20):
        await asyncio.sleep(0)
    assert sorted(inspector.looked) == sorted(Check)
    ticks.ms += DEMO.live_intent_gate().retry_ms
    assert loop.engine.wanted() == Wanted(preconditions=tuple(p.check for p in DEMO.preconditions))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("verdict", "ok"),
    [((True, "final on chain"), True), ((False, "failed"), False), ((None, "unknown"), False)],
)
async def test_a_live_payment_counts_when_the_chain_says_so(verdict, ok):
    """Failed and unknown transactions leave the gate closed, with the chain's words."""
    chain = Chain(*verdict)
    gatherer, *_ = made(chain)
    seen = await gatherer._live(Intent.PAY)
    assert chain.asked == [HASH]
    assert (seen.ok, seen.reasons[-1]) == (ok, verdict[1])


async def test_without_a_chain_a_payment_counts_in_a_rehearsal_only():
    """Production does not believe a hash that nobody can look up."""
    gatherer, *_ = made(None, DEMO)
    seen = await gatherer._live(Intent.PAY)
    assert seen.ok
    assert "reported only" in seen.reasons[-1]
    gatherer, *_ = made(None, PHASED)
    seen = await gatherer._live(Intent.PAY)
    assert not seen.ok
    assert "near_rpc" in seen.reasons[-1]


async def test_a_refused_payment_is_not_looked_up():
    """An answer that is no payment needs no chain."""
    chain = Chain(True, "final")
    gatherer, *_ = made(chain, answer=Answer(200, {"response": "❌ Payment failed"}))
    assert not (await gatherer._live(Intent.PAY)).ok
    assert chain.asked == []


async def test_the_same_execution_has_the_same_key():
    """Asked again without a verdict in between, as after a crash, the plane pays once."""
    gatherer, _, plane, *_ = made(Chain(True, "final"))
    for _ in range(2):
        await gatherer._live(Intent.PAY)
    keys = {key for key, text in plane.asked if text == "pay a/b"}
    assert len(keys) == 1
    assert "run-1" in keys.pop()

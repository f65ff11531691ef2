"""Evidence is gathered once, while it is wanted, and a payment counts when the chain knows it."""

import asyncio

import base58
import pytest

from conductor.doubles import DEMO, PHASED, Scripted, engine, verdict
from cutover.conductor.gatherer import Gatherer
from cutover.conductor.loop import Loop
from cutover.decision.command import RetryOrder
from cutover.decision.wanted import Wanted
from cutover.evidence.observation import (
    Attestation,
    PostCheckSeen,
    PreconditionSeen,
    Started,
    Verdict,
)
from cutover.evidence.planes import Answer
from cutover.runbook.gate import Check, Evidence
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


class Attester:
    """Says `verified`, and remembers what for."""

    def __init__(self):
        self.asked = []

    async def look(self, deadline_ms, purpose="monitor"):
        self.asked.append((deadline_ms, purpose))
        return verdict()


def made(chain=None, runbook=DEMO, answer=PAID, attester=None):
    heart, _, ticks = engine(runbook=runbook)
    loop = Loop(heart, 500, lambda _: None)
    loop.begin([Started(1, "b1", 0)])
    plane, inspector = Scripted("phala"), Inspector()
    plane.answers["process"] = (0, answer)
    texts = {intent: f"{intent} a/b" for intent in Intent}
    attester = Attester() if attester is None else attester
    gatherer = Gatherer(runbook, loop, plane, texts, chain, inspector, attester, ticks.wall_ms)
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


async def test_a_look_that_is_wanted_is_taken_at_once_and_says_what_for():
    """Its verdict is journaled like any other, with how long it took."""
    attester = Attester()
    gatherer, loop, *_ = made(attester=attester)
    async with asyncio.timeout(5):
        running = asyncio.create_task(loop.run())
        await gatherer._gather(Wanted(attestation="after:canary"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert attester.asked == [(DEMO.timing.attestation_deadline_ms, "after:canary")]
    view = loop.engine.run.plane("phala")
    assert (view.verdict, view.asked_at) == (Verdict.VERIFIED, loop.engine.run.at)


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
        await gatherer._live(Intent.PAY)  # the answer is not journaled, as in a crash
    keys = {key for key, text in plane.asked if text == "pay a/b"}
    assert len(keys) == 1
    assert "run-1" in keys.pop()


async def _keys_after(answer, chain=None, *facts):
    """Keys of two live payments, the first of which is journaled."""
    gatherer, loop, plane, *_ = made(chain, answer=answer)
    loop.engine.advance([await gatherer._live(Intent.PAY)])
    loop.engine.advance(facts)
    await gatherer._live(Intent.PAY)
    return [key for key, text in plane.asked if text == "pay a/b"]


@pytest.mark.parametrize(
    ("answer", "chain", "same"),
    [
        (Answer(200, {"response": "❌ Payment failed: no funds"}), None, False),
        (Answer(200, {"response": "❌ Payment outcome unknown: no answer"}), None, True),
        (Answer(200, {"response": "hm"}), None, True),
        (Answer(502, None), None, True),
        (Answer(None, error="deadline"), None, True),
        (PAID, Chain(None, "not final yet"), True),
        (PAID, Chain(False, "final and failed"), False),
    ],
)
async def test_a_live_payment_gets_a_new_key_when_the_last_has_ended_for_certain(
    answer, chain, same
):
    """An end that nobody knows is asked about again; retry and restart give no key back."""
    later = (RetryOrder("ann", "again"), Started(2, "b2", 0))
    first, second = await _keys_after(answer, chain, *later)
    assert (first == second) is same


async def test_an_intent_that_began_on_another_identity_proves_nothing():
    """What was in flight while the plane was replaced is about what is no longer there."""
    gatherer, loop, plane, *_ = made(Chain(True, "final"))

    def verdict(identity):
        return Attestation("phala", Verdict.VERIFIED, Evidence.VERIFIED, identity, ("x",))

    loop.engine.advance([verdict("compose-1")])
    seen = await gatherer._live(Intent.PAY)
    assert (seen.ok, seen.identity) == (True, "compose-1")
    loop.engine.advance([verdict("compose-2"), seen])
    assert loop.engine.run.live == {}
    await gatherer._live(Intent.PAY)
    first, second = [key for key, text in plane.asked if text == "pay a/b"]
    assert first != second

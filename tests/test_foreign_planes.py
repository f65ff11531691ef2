"""Two planes that are somebody else's implementation of the contract, told only by address and key.

Nothing of ours runs on them: `conductor/foreign.py` is the contract as today's service answers it.
"""

import json

import pytest

from conductor.doubles import DEMO
from conductor.theatre import Theatre, until
from cutover.decision.run import Phase
from cutover.evidence.observation import Verdict

RETRY_MS = DEMO.live_intent_gate().retry_ms


@pytest.mark.parametrize("claims", [(), ("--claims",)], ids=["says-mock", "says-tee"])
def test_a_candidate_without_a_quote_is_told_nothing_and_exposed_to_nobody(tmp_path, claims):
    """Whatever it says of itself: without evidence no key is attested, and nothing goes on."""
    with Theatre(tmp_path) as world:
        world.planes(*claims, "--executions", str(tmp_path / "executions"))
        world.conductor()
        world.gateway()
        until("two looks", lambda: len(world.facts("Attestation")) > 1, tell=world.story)
        until("a precondition", lambda: world.facts("PreconditionSeen"), tell=world.story)
        world.children["conductor"].terminate()
        assert world.ended() == 0, world.story()
        assert world.stages() == []
        assert {f.verdict for f in world.facts("Attestation")} <= {
            Verdict.MISSING, Verdict.UNVERIFIABLE,
        }  # fmt: skip
        assert any(f.verdict is Verdict.MISSING for f in world.facts("Attestation"))
        assert not any(f.ok for f in world.facts("PreconditionSeen"))
        assert world.facts("LiveIntent") == []
        assert not (tmp_path / "executions").exists()


def test_payments_with_invoice_numbers_keep_the_gate_closed(tmp_path):
    """A candidate whose pay answers name no transaction is tried a few times, then waited for."""
    with Theatre(tmp_path) as world:
        world.planes("--tee", "--invoices")
        child = world.conductor()
        world.gateway()
        world.traffic()

        def tried():
            return [f for f in world.facts("LiveIntent") if f.intent == "pay"]

        until("three attempts", lambda: len(tried()) >= 3, tell=world.story)
        last = [e.at_ms for e in world.entries() if e.fact == tried()[-1]][-1]
        until("time for three more", lambda: world.entries()[-1].at_ms > last + 3 * RETRY_MS)
        assert len(tried()) == 3
        assert not any(fact.ok for fact in tried())
        assert world.stages() == ["shadow"]
        status = json.loads(world.cli("status", "--json").stdout)
        assert (status["phase"], status["stage"]) == (Phase.RUNNING, "shadow")
        closed = [r["text"] for r in status["reasons"] if r["code"] == "gate:live_intents"]
        assert "intent-" in closed[0]
        assert child.poll() is None
        child.terminate()
        assert world.ended() == 0

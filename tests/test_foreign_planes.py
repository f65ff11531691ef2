"""Two planes that are somebody else's implementation of the contract, told only by address and key.

Nothing of ours runs on them: `conductor/foreign.py` is the contract as today's service answers it.
"""

import json

from conductor.doubles import DEMO
from conductor.theatre import Theatre, until
from cutover.decision.run import Phase
from cutover.evidence.observation import Attestation, Stopped, Verdict

RETRY_MS = DEMO.live_intent_gate().retry_ms


def test_foreign_planes_are_carried_to_completion(tmp_path):
    """Every stage opens in order, every client is answered, all checks hold, exit 0."""
    with Theatre(tmp_path) as world:
        world.planes("--tee")
        world.conductor()
        world.gateway()
        world.traffic()
        assert world.ended() == 0, world.story()
        world.clients.stop()
        assert world.stages() == ["shadow", "canary", "mixed", "primary"]
        assert [fact.intent for fact in world.facts("UnlockIntent")] == ["pay"]
        assert all(fact.ok for fact in world.facts("PostCheckSeen"))
        assert len(world.facts("PostCheckSeen")) == 4
        assert len(world.facts("Complete")) == 1
        assert world.clients.failed == []
        assert world.clients.answered > 50
        assert world.entries()[-1].fact == Stopped("the run is over")
        assert "complete; sealed in" in world.log("conductor")
        _the_record_holds(world)


def _the_record_holds(world):
    """The journal verifies, and so does the archive made by the last check."""
    assert world.cli("verify-log", str(world.data / "journal.db")).returncode == 0
    assert world.cli("archive", "verify", str(world.data / "archive.zip")).returncode == 0


def test_a_candidate_that_is_not_attested_never_leaves_shadow(tmp_path):
    """`teeWallet: mock` from the start: nobody is exposed, and the unarmed stage ends the run."""
    with Theatre(tmp_path) as world:
        world.planes()
        world.conductor()
        world.gateway()
        world.traffic()
        assert world.ended() == 10, world.story()
        assert world.stages() in ([], ["shadow"])
        assert [fact.rule for fact in world.facts("AbortRun")] == ["attestation-lost"]
        assert {f.verdict for f in world.facts(Attestation.__name__)} == {Verdict.MISSING}
        assert world.facts("LiveIntent") == []
        assert world.clients.failed == []


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

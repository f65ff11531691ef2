"""What is recorded: one function a journal, each a run from its first entry on."""

from cutover.decision.command import (
    AbortOrder,
    DisarmOrder,
    ForgetOrder,
    HoldOrder,
    PromoteOrder,
    ResumeOrder,
    RetryOrder,
    WaiveOrder,
)
from cutover.evidence.observation import Verdict
from cutover.evidence.outcome import Outcome
from cutover.runbook.gate import Check
from cutover.runbook.intent import Intent

HOUR = 3_600_000


def reach(world, stage):
    """Go on until a stage is open."""
    assert world.until(lambda run: run.stage >= stage, 2 * HOUR), world.run.reasons


def unlocked(world):
    """Go on until clients' payments reach the candidate."""
    assert world.until(lambda run: run.unlocked or run.stage == 3, 2 * HOUR), world.run.reasons


def phase(world, name):
    """Go on until the run is in a phase."""
    assert world.until(lambda run: run.phase == name, 2 * HOUR), (
        world.run.phase,
        world.run.reasons,
    )


def healthy(world):
    """Four stages, one unlock, the checks, complete."""
    phase(world, "complete")


def rollback_not_ready(world):
    """The candidate answers 503 until the rule trips; it recovers, and nothing promotes."""
    reach(world, 1)
    world.advance(2_000)
    world.planes["phala"].status = 503
    phase(world, "rolled_back")
    world.planes["phala"].status = 200
    world.advance(4_000)


def rollback_canary(world):
    """One failed round is forgiven, two in a row roll back."""
    reach(world, 2)
    world.fails = {"phala": ("near",)}
    world.canary()
    world.fails = {}
    world.advance(3_000)
    world.fails = {"phala": ("near", "github"), "hetzner": ("github",)}
    phase(world, "rolled_back")


def rollback_payments(world):
    """Some payments fail within the limit, then too many."""
    unlocked(world)
    world.advance(60_000)
    node = world.nodes["g1"]
    node.add((node.generation, Intent.PAY, "phala", Outcome.DECLINED), 3)
    world.advance(20_000)
    for outcome in (Outcome.BUSINESS_FAILED, Outcome.TIMEOUT_UNKNOWN):
        node.add((node.generation, Intent.PAY, "phala", outcome), 5)
    phase(world, "rolled_back")
    world.advance(120_000)


def repin_payments(world):
    """A payment fails while few are settled: payments go back, the rest stays."""
    unlocked(world)
    node = world.nodes["g1"]
    node.add((node.generation, Intent.PAY, "phala", Outcome.BUSINESS_FAILED), 1)
    assert world.until(lambda run: run.repinned, HOUR)
    world.advance(5_000)
    world.order(AbortOrder("ann", "payments went back; another day"))
    phase(world, "aborted")


def rollback_attestation(world):
    """Nobody can verify for a while, then the candidate says that it is not attested."""
    reach(world, 3)
    world.verdict = Verdict.UNVERIFIABLE
    world.advance(4_000)
    world.verdict = Verdict.VERIFIED
    world.advance(2_000)
    world.verdict = Verdict.MISSING
    phase(world, "rolled_back")


def attestation_silence(world):
    """No verdict comes any more; its age trips the rule, between two looks."""
    reach(world, 2)
    world.verdict = None
    phase(world, "rolled_back")


def fallback_sick(world):
    """The fallback is down for too long: money is closed there, and opened again."""
    unlocked(world)
    world.planes["hetzner"].status = None
    world.advance(8_000)
    world.planes["hetzner"].status = 200
    phase(world, "complete")


def orders(world):
    """Every order once: admitted, refused, and one that ends the run."""
    world.prepared[Check.ENVIRONMENT_PARITY] = None
    world.advance(2_000)
    world.order(WaiveOrder("ann", "compared by hand", Check.ENVIRONMENT_PARITY))
    world.order(ResumeOrder("ann", "nothing is held"))
    reach(world, 0)
    world.order(HoldOrder("ann", "lunch"))
    world.advance(10_000)
    world.order(ResumeOrder("ann", "back"))
    world.order(PromoteOrder("bob", "hurry", "shadow"))
    reach(world, 1)
    world.order(DisarmOrder("bob", "flaky sandbox", "canary-failed", 20_000))
    world.fails = {"phala": ("github",)}
    world.advance(5_000)
    world.fails = {}
    world.order(ForgetOrder("bob", "still here", "g1"))
    reach(world, 2)
    world.planes["phala"].status = 503
    phase(world, "rolled_back")
    world.planes["phala"].status = 200
    world.prepared[Check.ENVIRONMENT_PARITY] = True
    world.order(RetryOrder("ann", "rebooted"))
    reach(world, 1)
    world.order(AbortOrder("ann", "not today"))
    phase(world, "aborted")


def restarts(world):
    """Conductors come and go, one is killed; a snapshot, a reboot, a node that falls silent."""
    reach(world, 0)
    world.restart(5_000)
    reach(world, 1)
    world.snapshot()
    world.restart(3_600_000, killed=True)
    reach(world, 2)
    world.reboot("g1")
    world.advance(2_000)
    world.snapshot()
    world.fall_silent("g1")
    world.advance(4_000)
    world.nodes["g1"].silent = False
    unlocked(world)
    world.nodes["g1"].money_in_flight = 2
    world.advance(1_500)
    world.nodes["g1"].money_in_flight = 0
    world.restart(60_000)
    phase(world, "complete")


STORIES = {
    "healthy": ("demo", {}, healthy),
    "rollback-not-ready": ("demo", {}, rollback_not_ready),
    "rollback-canary": ("demo", {}, rollback_canary),
    "rollback-payments": ("brisk", {}, rollback_payments),
    "rollback-attestation": ("demo", {}, rollback_attestation),
    "attestation-silence": ("demo", {}, attestation_silence),
    "repin-payments": (
        "demo",
        {
            "rollback.payments-failed.low_sample": "repin",
            "rollback.payments-failed.min_settled": 50,
        },
        repin_payments,
    ),
    "fallback-sick": ("demo", {}, fallback_sick),
    "orders": ("demo", {}, orders),
    "restarts": ("demo", {}, restarts),
}
"""Name: shipped runbook, what is changed in it, and what happens."""

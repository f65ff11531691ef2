"""What each look of the scenario world amounts to: observations as a conductor would make them."""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from cutover.decision.keys import live_key, receipt_key
from cutover.decision.run import Run
from cutover.evidence.observation import (
    Attestation,
    CanaryRound,
    CanaryVerdict,
    LiveIntent,
    PostCheckSeen,
    Readiness,
    Reference,
    Verdict,
)
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Evidence, PostCheckName
from cutover.runbook.intent import Intent
from cutover.simulator.conformance.node import Plane

SAID: Final = ("as scripted",)


def readiness(name: str, plane: Plane) -> Readiness:
    """One look at `/ready` and `/health`."""
    status = plane.status
    fine = status == 200
    ready = plane.ready and fine if status is not None else None
    said = "ready" if fine else "no answer" if status is None else f"answered {status}"
    return Readiness(name, status, ready, plane.health_ready and fine, said)


def reference(*, ok: bool) -> Reference:
    """One look at our own connectivity."""
    return Reference(ok, "" if ok else "no route")


def canary(
    planes: tuple[str, ...],
    fails: Mapping[str, tuple[str, ...]],
    began: Mapping[str, str],
    *,
    scheduled: bool,
) -> CanaryRound:
    """A round on all planes; `fails` names the checks that fail, `began` the identity before."""
    verdicts = tuple(
        CanaryVerdict(name, name not in fails, fails.get(name, ()), "seen", began.get(name, ""))
        for name in planes
    )
    return CanaryRound(scheduled, verdicts)


class Proof(msgspec.Struct, frozen=True):
    """What a plane shows of itself, and what stands beside it.

    Attributes:
        evidence: on which a verdict rests.
        identity: of the plane.
        key: name of its TLS key; empty when none proves itself.
        marks: what stays beside the verdict.
        lasts_ms: by its own deadline; None without one.
    """

    evidence: Evidence
    identity: str = "compose-1"
    key: str = "key-1"
    marks: tuple[str, ...] = ()
    lasts_ms: int | None = None


def attestation(plane: str, verdict: Verdict, proof: Proof) -> Attestation:
    """A verdict; a plane that says it is not attested has no identity to speak of.

    A TLS key proves itself only to a verifier, and only when the evidence is not refuted.
    """
    who = "" if verdict is Verdict.MISSING else proof.identity
    proved = verdict in (Verdict.VERIFIED, Verdict.DEGRADED)
    proved = proved and proof.evidence is Evidence.VERIFIED
    key = spki(proof.key) if proved and proof.key else ""
    return Attestation(plane, verdict, proof.evidence, who, SAID, proof.marks, key, proof.lasts_ms)


def spki(name: str) -> str:
    """The TLS key of a name, as a verdict tells it."""
    return hashlib.sha256(name.encode()).hexdigest()


def live(runbook: Runbook, run: Run, intent: Intent, ok: bool | None) -> tuple[LiveIntent, str]:
    """A live intent as it ended, and the idempotency key it was sent with."""
    identity = run.plane(runbook.candidate).identity
    key = live_key(run, intent, identity)
    seen = LiveIntent(runbook.candidate, intent, ok is True, SAID, {}, identity, ok is not None)
    return seen, key


def post_check(name: PostCheckName, ok: bool | None) -> PostCheckSeen:
    """A post-cutover check as it ended; None when nobody can vouch for its payment."""
    return PostCheckSeen(name, ok is True, SAID, {}, ok is not None)


def paid_by_check(run: Run, name: PostCheckName) -> list[str]:
    """Keys of the payments that a check makes."""
    return [receipt_key(run)] if name is PostCheckName.RECEIPT_TRANSACTION else []

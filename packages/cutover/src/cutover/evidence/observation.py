"""Everything that can be seen, one frozen record per kind.

Records are made at the edge (`cutover.conductor`) and journaled before anyone reasons about them.
They carry no clock of their own: the journal entry around them has the conductor's stamp. The
garbage collector passes them by (`gc=False`, see `cutover.decision.fact`).
"""

from enum import StrEnum

import msgspec

from cutover.evidence.outcome import Conversations, Count
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import Intent


class Readiness(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One look at `/ready`, and at `/health`'s readiness.

    Attributes:
        plane: which plane.
        status: HTTP status of `/ready`; None when no whole answer came.
        ready: its `ready` field; None when absent.
        health_ready: `/health`'s `readiness.ready`; None when not seen in this look.
        detail: what the plane said, or how the connection failed.
    """

    plane: str
    status: int | None
    ready: bool | None
    health_ready: bool | None
    detail: str


class Reference(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Our own connectivity: if this fails too, a silent plane is our fault."""

    ok: bool
    detail: str


class CanaryVerdict(msgspec.Struct, frozen=True, gc=False):
    """One plane's answer in a canary round.

    Attributes:
        plane: which plane.
        ok: True or False; a plane that gave no verdict has failed its run.
        failed: names of the checks that failed, or `no_verdict`.
        detail: the reasons, for people.
        identity: of the plane when the run began, empty when none was known; a verdict about
            another identity than the present one does not count.
    """

    plane: str
    ok: bool
    failed: tuple[str, ...]
    detail: str
    identity: str = ""


class CanaryRound(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One canary run on both planes at the same instant.

    Attributes:
        scheduled: only scheduled rounds count for streaks and soaks.
        verdicts: one per plane.
    """

    scheduled: bool
    verdicts: tuple[CanaryVerdict, ...]


class LiveIntent(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A real intent executed on a plane for the live intent gate.

    Attributes:
        plane: which plane.
        intent: what was executed.
        ok: whether the answer withstood inspection.
        reasons: what was wrong, or what convinced.
        evidence: named facts (split id, transaction, proof link).
        identity: of the plane when the execution began, empty when none was known.
        definite: how it ended is known for certain, so that another attempt repeats nothing;
            a failure that is not definite may have been carried out all the same.
    """

    plane: str
    intent: Intent
    ok: bool
    reasons: tuple[str, ...]
    evidence: dict[str, str]
    identity: str = ""
    definite: bool = False


class Verdict(StrEnum):
    """What attestation amounts to."""

    VERIFIED = "verified"
    DEGRADED = "degraded"
    STALE = "stale"
    MISSING = "missing"
    UNVERIFIABLE = "unverifiable"
    INVALID = "invalid"


class Attestation(msgspec.Struct, frozen=True, gc=False, tag=True):
    """One look at what a plane is.

    Attributes:
        plane: which plane.
        verdict: what it amounts to. `missing` means the plane itself said that it is not attested.
        evidence: reported (what the text says) or verified (what a verifier concluded).
        identity: what the verdict is about; evidence of another identity does not count.
        reasons: what was seen and expected.
        marks: what must stand beside this verdict for ever, such as `TEST ROOT`.
        tls_spki: SHA-256 (hex) of the TLS key that proved itself; empty when none did.
        lasts_ms: milliseconds from its entry in the journal after which it says nothing any more;
            None when only the runbook's ages limit it.
        record: SHA-256 (hex) of the kept evidence, to judge it again offline; empty when none is.
        took_ms: from the asking to the verdict: what it says is at most so much older than itself.
    """

    plane: str
    verdict: Verdict
    evidence: Evidence
    identity: str
    reasons: tuple[str, ...]
    marks: tuple[str, ...] = ()
    tls_spki: str = ""
    lasts_ms: int | None = None
    record: str = ""
    took_ms: int = 0


class PreconditionSeen(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A precondition, looked at; `ok` is None when it could not be judged."""

    check: Check
    ok: bool | None
    reasons: tuple[str, ...]


class GatewayReport(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What a gateway node says about itself.

    Counters are cumulative, so a lost or repeated
    report loses and doubles nothing.

    Attributes:
        node: the node's name.
        boot: identity of its process; counters start again with a new one.
        term: of the table in force.
        generation: in force on every one of its workers.
        refused_generation: of the last table it refused, 0 for none.
        refused: why.
        in_flight: requests it is working on.
        lost: outcomes that it knows it could not record.
        counts: changed since the last report.
        conversations: changed since the last report.
        keys_match: whether its plane keys are ours (keyed proof); None when not compared.
        money_in_flight: requests that may move money, sent to the candidate and not yet ended.
    """

    node: str
    boot: str
    term: int
    generation: int
    refused_generation: int
    refused: str
    in_flight: int
    lost: int
    counts: tuple[Count, ...]
    conversations: tuple[Conversations, ...]
    keys_match: bool | None
    money_in_flight: int = 0


class GatewaySilent(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A node whose reports stopped coming."""

    node: str
    detail: str


class PostCheckSeen(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A post-cutover check, carried out.

    Attributes:
        name: which one.
        ok: whether it holds.
        reasons: what was wrong, or what convinced.
        evidence: named facts.
        definite: how its payment ended is known for certain (see `LiveIntent`).
    """

    name: PostCheckName
    ok: bool
    reasons: tuple[str, ...]
    evidence: dict[str, str]
    definite: bool = False


class Adopted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The first entry of a run: what was agreed, word for word.

    Attributes:
        run: identity of the run.
        runbook: the TOML text.
        sha256: of that text.
        versions: of what executes it.
    """

    run: str
    runbook: str
    sha256: str
    versions: dict[str, str]


class Started(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A conductor began or resumed the run; evidence from before is looked at again.

    Attributes:
        term: this incarnation's number, one more than the last.
        boot: identity of its process.
        downtime_ms: by the wall clock, for people.
    """

    term: int
    boot: str
    downtime_ms: int


class Stopped(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A conductor ended in good order."""

    reason: str


class Snapshot(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A state was stored beside the journal; its digest is bound into the chain here.

    Attributes:
        upto: sequence number the state includes.
        sha256: of the stored bytes.
    """

    upto: int
    sha256: str


class OrderRefused(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An operator's order that did not apply."""

    verb: str
    actor: str
    reason: str


Observation = (
    Readiness | Reference | CanaryRound | LiveIntent | Attestation | PreconditionSeen
    | GatewayReport | GatewaySilent | PostCheckSeen | Adopted | Started | Stopped | Snapshot
    | OrderRefused
)  # fmt: skip

"""Acceptance gates and preconditions: what must be shown before exposure rises.

The same gates are asked at every promotion, on the candidate's current identity. A gate is open,
closed or unknown; unknown never opens.
"""

from dataclasses import dataclass
from enum import StrEnum

from cutover.runbook.intent import Intent


class Evidence(StrEnum):
    """How attestation is believed: what the text says, or what a verifier concluded."""

    REPORTED = "reported"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class ReadinessGate:
    """`/ready` is 200 with ready=true, and `/health` says readiness.ready=true."""

    clause: str
    max_age_ms: int


@dataclass(frozen=True, slots=True)
class DependencyGate:
    """The last scheduled canary run was ok, with each check's detail judged."""

    clause: str
    max_age_ms: int


@dataclass(frozen=True, slots=True)
class LiveIntentGate:
    """Each intent was executed on the candidate for real, and its answer withstood inspection.

    Attributes:
        clause: the runbook's words.
        intents: which are executed, in order.
        max_age_ms: how long a passed execution counts.
        retry_ms: pause before a failed one is tried again.
        attempts: tries per promotion and intent before an operator must look.
    """

    clause: str
    intents: tuple[Intent, ...]
    max_age_ms: int
    retry_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class AttestationGate:
    """The candidate is attested.

    Attributes:
        clause: the runbook's words.
        max_age_ms: how long a verdict counts.
        promote_age_ms: how old a verdict may be on which a promotion rests.
        evidence: what is believed.
        money_evidence: what must be believed before money moves to the candidate; `verified`.
    """

    clause: str
    max_age_ms: int
    promote_age_ms: int
    evidence: Evidence
    money_evidence: Evidence

    @property
    def proves(self) -> bool:
        """Whether the candidate proves what it is, its TLS key included; money needs that.

        Where its own word is believed, nobody knows who is at the other end of a payment.
        """
        return self.evidence is Evidence.VERIFIED


Gate = ReadinessGate | DependencyGate | LiveIntentGate | AttestationGate


class Check(StrEnum):
    """Preconditions, asked of both planes before anything moves."""

    IDENTICAL_IMAGE = "identical_image"
    ENVIRONMENT_PARITY = "environment_parity"
    TLS_AND_DOMAIN = "tls_and_domain"
    ENDPOINTS_REACHABLE = "endpoints_reachable"


@dataclass(frozen=True, slots=True)
class Precondition:
    """One precondition with the runbook's words."""

    check: Check
    clause: str


class PostCheckName(StrEnum):
    """What is confirmed once the candidate is primary."""

    UPSTREAM_AND_KEYS = "upstream_and_keys"
    WEBHOOK_SIGNATURES = "webhook_signatures"
    RECEIPT_TRANSACTION = "receipt_transaction"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class PostCheck:
    """One post-cutover check with the runbook's words."""

    name: PostCheckName
    clause: str

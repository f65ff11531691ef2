"""A step of the rollout: who answers what, and for how long it must be watched."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cutover.runbook.intent import Intent

ALL_BP = 10_000
"""The whole of an intent's conversations, in basis points."""


class Critical(StrEnum):
    """Errors on the candidate that can restart a clean period; a runbook declares which do."""

    CANARY_FALSE = "canary_false"  # a scheduled run said ok=false, or gave no verdict
    NOT_READY = "not_ready"  # one /ready that was not 200
    ANSWER_5XX = "answer_5xx"  # the plane answered with a server error
    ANSWER_UNKNOWN = "answer_unknown"  # no whole answer after the request had been sent
    NOT_SENT = "not_sent"  # the plane could not be reached
    PAYMENT_FAILED = "payment_failed"  # a settled payment that failed
    ATTESTATION_LOST = "attestation_lost"  # any verdict but verified


@dataclass(frozen=True, slots=True)
class Soak:
    """What must have been observed, without interruption, before a stage may be left.

    Attributes:
        observed_ms: milliseconds during which every signal was fresh and clean.
        canary_runs: scheduled canary verdicts ok=true in that time; where any are asked for, a
            failed one restarts the soak.
        answers: client answers by the candidate in this stage; 0 where it has no share.
    """

    observed_ms: int
    canary_runs: int
    answers: int


@dataclass(frozen=True, slots=True)
class Unlock:
    """A share that an intent gets inside a stage once a clean period has passed.

    Attributes:
        intent: whose share rises.
        share_bp: to how much, basis points.
        clean_ms: observed time without a critical error, from entering the stage.
        answers: client answers by the candidate that the clean period must contain.
        clause: the runbook's words.
    """

    intent: Intent
    share_bp: int
    clean_ms: int
    answers: int
    clause: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the rollout plan.

    Attributes:
        name: as the operator says it (`promote --expect NAME`).
        clause: the runbook's words.
        share_bp: candidate's share of each leading intent's conversations, basis points.
        soak: what must be observed before leaving.
        unlocks: shares that rise inside the stage.
        armed: a tripped rollback condition rolls back; before that it aborts the run.
        operator_promotes: leaving waits for `promote`, even when everything is open.
    """

    name: str
    clause: str
    share_bp: Mapping[Intent, int]
    soak: Soak
    unlocks: tuple[Unlock, ...]
    armed: bool
    operator_promotes: bool

    @property
    def exposed(self) -> bool:
        """Whether the candidate answers any client here."""
        return any(self.share_bp.values()) or any(unlock.share_bp for unlock in self.unlocks)

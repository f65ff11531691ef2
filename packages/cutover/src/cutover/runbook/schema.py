"""The runbook's TOML as pydantic models: the shape, in the operator's words.

Only shape and units are judged here; what the parts owe each other is in `cutover.runbook.rules`.
Nothing has a default: a value that is not written is a fault, not a choice made elsewhere.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cutover.runbook.fields import (
    NOT_ASKED,
    Clause,
    Duration,
    Flag,
    Lead,
    Name,
    Natural,
    Percent,
    Positive,
    Quiet,
    Share,
    Sigmas,
)
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.rollback import LowSample, SharedCause
from cutover.runbook.stage import Critical


class Part(BaseModel):
    """A table of the document: closed, so that a misspelt key is found, and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Head(Part):
    """Who moves where."""

    name: Name = Field(description="short name of the runbook, shown everywhere")
    rehearsal: Flag = Field(
        description="true only for planes on loopback: allows what production refuses"
    )
    fallback: Name = Field(description="plane that traffic comes from and returns to")
    candidate: Name = Field(description="plane that traffic is moved to")
    quiet: Quiet = Field(
        description="no client request may have been seen for this long before exposure; "
        f'"{NOT_ASKED}" where traffic is expected'
    )


class TimingPart(Part):
    """How often is looked, and how long an answer may take."""

    readiness_every: Duration = Field(description="pause between two looks at /ready")
    readiness_deadline: Duration = Field(description="longest wait for /ready")
    canary_every: Duration = Field(description="pause between two scheduled canary runs")
    canary_deadline: Duration = Field(description="longest wait for a canary run's verdict")
    attestation_every: Duration = Field(description="pause between two looks at the attestation")
    attestation_deadline: Duration = Field(description="longest wait for attestation evidence")
    live_intent_deadline: Duration = Field(description="longest wait for a live intent's answer")


class Follows(Part):
    """Which leading intent's route each minor intent takes."""

    pending: Lead = Field(description="leading intent whose route `pending` takes")
    verify: Lead = Field(description="leading intent whose route `verify` takes")
    reputation: Lead = Field(description="leading intent whose route `reputation` takes")
    mode: Lead = Field(description="leading intent whose route `mode` takes")
    plan: Lead = Field(description="leading intent whose route approve, cancel and replay take")
    help: Lead = Field(description="leading intent whose route `help` takes")
    unknown: Lead = Field(description="leading intent whose route an unreadable text takes")


class PreconditionPart(Part):
    """One precondition."""

    check: Check = Field(description="what is asked of both planes before anything moves")
    clause: Clause


class ReadinessPart(Part):
    """The readiness gate."""

    kind: Literal["readiness"] = Field(description="which gate")
    clause: Clause
    max_age: Duration = Field(description="how long a look at /ready counts")


class DependencyPart(Part):
    """The dependency gate."""

    kind: Literal["dependency"] = Field(description="which gate")
    clause: Clause
    max_age: Duration = Field(description="how long a scheduled canary run counts")


class LiveIntentPart(Part):
    """The live intent gate."""

    kind: Literal["live_intent"] = Field(description="which gate")
    clause: Clause
    intents: tuple[Lead, ...] = Field(description="intents executed on the candidate, in order")
    max_age: Duration = Field(description="how long a passed execution counts")
    retry: Duration = Field(description="pause before a failed execution is tried again")
    attempts: Positive = Field(description="tries per promotion and intent before a person looks")


class AttestationPart(Part):
    """The attestation gate."""

    kind: Literal["attestation"] = Field(description="which gate")
    clause: Clause
    max_age: Duration = Field(description="how long a verdict counts")
    promote_age: Duration = Field(description="a promotion rests on a verdict no older than this")
    evidence: Evidence = Field(description="what is believed: reported or verified")
    money_evidence: Evidence = Field(description="what is believed before money moves: verified")


class SharePart(Part):
    """The candidate's share of each leading intent's conversations, in percent."""

    analyze: Share = Field(description="percent of analyze conversations the candidate answers")
    create: Share = Field(description="percent of create conversations the candidate answers")
    pay: Share = Field(description="percent of pay conversations the candidate answers")


class SoakPart(Part):
    """What must have been observed before a stage may be left."""

    observed: Duration = Field(description="observed time with every signal fresh and clean")
    canary_runs: Natural = Field(
        description="scheduled canary runs in a row that were ok, a failed one restarts the soak; "
        "0: a single failed run only stops the clock, and the rollback rule judges the rest"
    )
    answers: Natural = Field(description="client answers by the candidate; 0 where it has no share")


class UnlockPart(Part):
    """A share that rises inside a stage."""

    intent: Lead = Field(description="intent whose share rises")
    share: Share = Field(description="percent of its conversations once it is unlocked")
    clean: Duration = Field(description="observed time without a critical error that unlocks it")
    answers: Positive = Field(description="client answers that the clean time must contain")
    clause: Clause


class StagePart(Part):
    """One step of the rollout plan."""

    name: Name = Field(description="as the operator says it")
    clause: Clause
    share: SharePart = Field(description="percent per leading intent")
    soak: SoakPart = Field(description="what must be observed before leaving")
    unlock: tuple[UnlockPart, ...] = Field(default=(), description="shares that rise inside")
    armed: Flag = Field(description="true: a tripped condition rolls back; false: it aborts")
    operator_promotes: Flag = Field(description="true: leaving waits for `promote`")


class NotReadyPart(Part):
    """Rollback: not ready for too long."""

    name: Name = Field(description="the rule's name in incidents and orders")
    when: Literal["not_ready"] = Field(description="which condition")
    clause: Clause
    longer_than: Duration = Field(description="trips strictly above this")


class CanaryFailedPart(Part):
    """Rollback: canary runs failed in a row."""

    name: Name = Field(description="the rule's name in incidents and orders")
    when: Literal["canary_failed"] = Field(description="which condition")
    clause: Clause
    runs: Positive = Field(description="failed scheduled runs in a row that trip")
    shared_cause: SharedCause = Field(description="when the fallback fails alike")


class PaymentsFailedPart(Part):
    """Rollback: too many payments failed."""

    name: Name = Field(description="the rule's name in incidents and orders")
    when: Literal["payments_failed"] = Field(description="which condition")
    clause: Clause
    percent: Percent = Field(description="whole percent of settled payments; trips strictly above")
    window: Duration = Field(description="rolling window the payments are counted in")
    min_settled: Positive = Field(description="settled payments before the full rule applies")
    low_sample: LowSample = Field(description="what a trip below min_settled does")


class AttestationLostPart(Part):
    """Rollback: the candidate is not attested."""

    name: Name = Field(description="the rule's name in incidents and orders")
    when: Literal["attestation_lost"] = Field(description="which condition")
    clause: Clause
    max_age: Duration = Field(description="trips once no acceptable verdict is younger")


class CriticalPart(Part):
    """Which errors on the candidate restart a clean period."""

    clause: Clause
    errors: tuple[Critical, ...] = Field(description="the errors, by name")


class SplitPart(Part):
    """When the observed split counts as the table's."""

    min_conversations: Positive = Field(description="distinct conversations before it is judged")
    sigmas: Sigmas = Field(description="half-width of the band, standard deviations")


class BlindPart(Part):
    """When there is no data."""

    after: Duration = Field(description="a signal older than this is no data")
    page: Duration = Field(description="blind for longer than this calls the operator")


class ErrorBudgetPart(Part):
    """How much may fail on the candidate while the fallback is kept."""

    clause: Clause
    percent: Percent = Field(description="whole percent of the candidate's answers")
    min_answers: Positive = Field(description="answers before the budget can be judged")


class PostCheckPart(Part):
    """One post-cutover check."""

    check: PostCheckName = Field(description="what is confirmed at the end")
    clause: Clause


GatePart = Annotated[
    ReadinessPart | DependencyPart | LiveIntentPart | AttestationPart, Field(discriminator="kind")
]
RollbackPart = Annotated[
    NotReadyPart | CanaryFailedPart | PaymentsFailedPart | AttestationLostPart,
    Field(discriminator="when"),
]


class Document(Part):
    """A runbook: what was agreed, executed as written."""

    runbook: Head = Field(description="who moves where")
    timing: TimingPart = Field(description="cadence and deadlines")
    follows: Follows = Field(description="routes of the minor intents")
    precondition: tuple[PreconditionPart, ...] = Field(description="asked before the first stage")
    gate: tuple[GatePart, ...] = Field(description="asked at every promotion")
    stage: tuple[StagePart, ...] = Field(description="steps in order; the first exposes nobody")
    rollback: tuple[RollbackPart, ...] = Field(description="conditions that send everything back")
    critical: CriticalPart = Field(description="which errors restart a clean period")
    split: SplitPart = Field(description="how the observed split is judged")
    blind: BlindPart = Field(description="when there is no data")
    error_budget: ErrorBudgetPart = Field(description="what may fail while the fallback is kept")
    post_check: tuple[PostCheckPart, ...] = Field(description="confirmed before completion")


def json_schema() -> dict[str, Any]:
    """The document's JSON Schema (2020-12), for editors and for `cutover schema`."""
    schema = Document.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

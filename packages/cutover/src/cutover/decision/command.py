"""The operator's word: always with a name and a reason, journaled like everything else."""

import msgspec

from cutover.runbook.gate import Check


class HoldOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Freeze exposure; rollback stays armed."""

    actor: str
    reason: str


class ResumeOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """End a hold."""

    actor: str
    reason: str


class PromoteOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Leave the expected stage, where the runbook leaves that to a person."""

    actor: str
    reason: str
    expect: str


class AbortOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Everything back to the fallback, now, and the run ends."""

    actor: str
    reason: str


class RetryOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Begin again with the first stage after a rollback, or try exhausted gates again."""

    actor: str
    reason: str


class DisarmOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Switch one rollback condition off for a while.

    Attributes:
        rule: the condition's name.
        expires_ms: for how long, observed milliseconds.
    """

    actor: str
    reason: str
    rule: str
    expires_ms: int


class WaiveOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Accept a precondition that cannot be judged (unknown); a failed one cannot be waived."""

    actor: str
    reason: str
    check: Check


class ForgetOrder(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Leave a silent gateway node out: it was taken out of service and will not come back."""

    actor: str
    reason: str
    node: str


Command = (
    HoldOrder
    | ResumeOrder
    | PromoteOrder
    | AbortOrder
    | RetryOrder
    | DisarmOrder
    | WaiveOrder
    | ForgetOrder
)

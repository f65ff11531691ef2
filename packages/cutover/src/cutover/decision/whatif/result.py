"""What a comparison says, as values; `cutover whatif` only draws them.

Times are observed milliseconds of the run; numbers of entries are those of the record.
"""

from typing import Literal

import msgspec

from cutover.runbook.intent import Risk


class Moved(msgspec.Struct, frozen=True):
    """A move on one of the two paths.

    Attributes:
        seq: entry of the record at or after which it was made.
        at_ms: when.
        kind: of decision.
        what: what it opens, unlocks, trips or closes.
        why: its reasons.
    """

    seq: int
    at_ms: int
    kind: str
    what: str
    why: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes two moves the same, reasons and evidence left aside."""
        return self.kind, self.what

    def __str__(self) -> str:
        """The move in one or two words."""
        return f"{self.kind} {self.what}".strip()


class Parting(msgspec.Struct, frozen=True):
    """The first place where the two paths part.

    Attributes:
        seq: entry of the record.
        at_ms: when.
        recorded: what was decided there.
        alternative: what would have been.
    """

    seq: int
    at_ms: int
    recorded: str
    alternative: str


class Pair(msgspec.Struct, frozen=True):
    """The same move on both paths, or on one of them.

    Attributes:
        kind: of decision.
        what: what it opens or unlocks, or the rule that trips.
        recorded: on the record's path.
        alternative: on the other.
        later_ms: how much later on the other path; None when it is on one of them only.
    """

    kind: str
    what: str
    recorded: Moved | None
    alternative: Moved | None
    later_ms: int | None


class Exposure(msgspec.Struct, frozen=True):
    """How much of one class of risk the candidate carried on each path.

    Attributes:
        risk: of the leading intent whose share it is.
        recorded_share_hours: integral of the candidate's share over observed hours.
        alternative_share_hours: the same on the other path.
        recorded_requests: counted by the gateways on the candidate.
        alternative_requests: of the counted ones, those that the other tables leave there.
        assumed_requests: those that the other tables would have sent there besides.
        unknown_requests: of the assumed ones, those of which the record cannot say how they end.
        recorded_failed: requests that the candidate failed.
        alternative_failed: of them, those that the other tables leave there.
        assumed_failed: of the assumed ones, at the rate seen so far.
        worst_failed: of the assumed ones, at the worst rate seen in any window.
    """

    risk: Risk
    recorded_share_hours: float
    alternative_share_hours: float
    recorded_requests: int
    alternative_requests: int
    assumed_requests: int
    unknown_requests: int
    recorded_failed: int
    alternative_failed: int
    assumed_failed: int
    worst_failed: int

    @property
    def saved_share_hours(self) -> float:
        """Less exposure on the other path; negative when it risks more."""
        return self.recorded_share_hours - self.alternative_share_hours


class Payments(msgspec.Struct, frozen=True):
    """Payments of clients that reached the candidate; the fields are those of `Exposure`."""

    recorded: int
    alternative: int
    assumed: int
    unknown: int


class Standing(msgspec.Struct, frozen=True):
    """How a path stands where the record ends.

    Attributes:
        phase: of the run.
        stage: open stage; empty before the first.
        progress: what of the soak has been reached.
        waits: what keeps it from the next step.
        completed_at_ms: when it was complete, if it was.
    """

    phase: str
    stage: str
    progress: str
    waits: tuple[str, ...]
    completed_at_ms: int | None


class Limit(msgspec.Struct, frozen=True):
    """Where the comparison rests on more than the record says.

    Attributes:
        code: stable.
        text: what is assumed or not known, and how often.
    """

    code: str
    text: str


class Rollbacks(msgspec.Struct, frozen=True):
    """Ways back on the two paths: rollbacks, aborts by a rule, and payments taken back."""

    added: tuple[Moved, ...]
    avoided: tuple[Moved, ...]
    kept: tuple[Pair, ...]


Verdict = Literal["same", "parts"]


class WhatIf(msgspec.Struct, frozen=True):
    """The whole comparison.

    Attributes:
        run: identity of the run.
        entries: compared.
        observed_ms: of the record.
        verdict: whether the paths part at all.
        parting: where.
        recorded: moves of the record.
        alternative: moves of the other path.
        promotions: steps forward on both paths.
        rollbacks: steps back.
        exposure: one for each class of risk.
        payments: of clients on the candidate.
        recorded_end: how the record stands at its end.
        alternative_end: how the other path would stand there.
        limits: what all this rests on.
    """

    run: str
    entries: int
    observed_ms: int
    verdict: Verdict
    parting: Parting | None
    recorded: tuple[Moved, ...]
    alternative: tuple[Moved, ...]
    promotions: tuple[Pair, ...]
    rollbacks: Rollbacks
    exposure: tuple[Exposure, ...]
    payments: Payments
    recorded_end: Standing
    alternative_end: Standing
    limits: tuple[Limit, ...]

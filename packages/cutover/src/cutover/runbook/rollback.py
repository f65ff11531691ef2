"""Rollback conditions: rules over what was observed, judged before anything else.

Going back needs less proof than going forward. A rule that lacks data is blind: it neither
passes nor fires.
"""

from dataclasses import dataclass
from enum import StrEnum


class SharedCause(StrEnum):
    """What to do when the fallback fails the same canary checks in the same round."""

    ROLL_BACK = "roll_back"
    HOLD = "hold"


class LowSample(StrEnum):
    """What to do when a payment failure trips below the minimum of settled attempts."""

    ROLL_BACK = "roll_back"
    REPIN = "repin"  # pay goes back to the fallback and the run holds


@dataclass(frozen=True, slots=True)
class NotReady:
    """`/ready` was non-200 for strictly longer than `longer_than_ms`, first bad to last bad."""

    name: str
    clause: str
    longer_than_ms: int


@dataclass(frozen=True, slots=True)
class CanaryFailed:
    """`runs` scheduled canary runs in a row were not ok."""

    name: str
    clause: str
    runs: int
    shared_cause: SharedCause


@dataclass(frozen=True, slots=True)
class PaymentsFailed:
    """Failed payments exceed `percent` of the settled ones in a rolling window.

    Compared in integers: 100 · failed > percent · settled.
    """

    name: str
    clause: str
    percent: int
    window_ms: int
    min_settled: int
    low_sample: LowSample


@dataclass(frozen=True, slots=True)
class AttestationLost:
    """No acceptable verdict is younger than `max_age_ms`, or a verdict says it is not attested."""

    name: str
    clause: str
    max_age_ms: int


Condition = NotReady | CanaryFailed | PaymentsFailed | AttestationLost

"""Whether a demo ended as the runbook says it must: a judgement over what was seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cutover.demo.faults import Fault


@dataclass(frozen=True)
class Seen:
    """What a demo came to.

    Attributes:
        result: `complete`, `rolled_back`, `held`, or the phase it stands in.
        rule: rollback condition or reason code that decided.
        injected: whether the fault was injected.
        decided_s: seconds from the cause to the decision; None if there was none.
        traffic: the clients' own counts.
        failed_before: client requests that had failed when the fault was injected.
        failed_at_rest: that had failed when everything was back; None if it never was.
        risen: intents whose exposure rose on the gateways after the cause.
    """

    result: str
    rule: str
    injected: bool
    decided_s: float | None
    traffic: Mapping[str, Any]
    failed_before: int
    failed_at_rest: int | None
    risen: tuple[str, ...]


def problems(fault: Fault | None, seen: Seen) -> list[str]:
    """Everything that is not as it must be; empty is the only pass."""
    wanted = fault.result if fault else "complete"
    found = []
    if seen.result != wanted:
        found.append(f"the run is {seen.result}, expected {wanted}")
    if seen.traffic["total"] == 0:
        found.append("no client request was made")
    if fault is None:
        failed = seen.traffic["failed"]
        return found + ([f"{failed} client requests failed, none may"] if failed else [])
    return found + _of_fault(fault, seen)


def _of_fault(fault: Fault, seen: Seen) -> list[str]:
    if not seen.injected:
        return ["the fault was never injected"]
    found = [*_decision(fault, seen), *_failures(fault, seen)]
    if seen.failed_before:
        found.append(f"{seen.failed_before} client requests failed before the fault")
    if fault.refused and not seen.traffic["refused"]:
        found.append("no payment met a clear refusal")
    if fault.result == "held":
        found += [f"{intent} rose while the run should hold" for intent in seen.risen]
    return found


def _decision(fault: Fault, seen: Seen) -> list[str]:
    if not fault.rule:
        return []
    if seen.rule != fault.rule:
        return [f"decided by {seen.rule or 'nothing'}, expected {fault.rule}"]
    if seen.decided_s is None or seen.decided_s > fault.seconds_max:
        return [f"decided {seen.decided_s} s after the cause, at most {fault.seconds_max:g} s"]
    return []


def _failures(fault: Fault, seen: Seen) -> list[str]:
    """Failures belong to the faulted plane, are bounded, and end when all traffic is back."""
    found = []
    failed = seen.traffic["failed"]
    if failed > fault.failed_max:
        found.append(f"{failed} client requests failed, at most {fault.failed_max} may")
    for plane, counts in seen.traffic.get("by_plane", {}).items():
        wrong = sum(n for name, n in counts.items() if name.endswith(".failed"))
        if wrong and plane != fault.failing:
            found.append(f"{wrong} client requests failed on {plane}, which the fault spares")
    if fault.result == "rolled_back" and failed > (seen.failed_at_rest or 0):
        found.append(f"{failed - (seen.failed_at_rest or 0)} failed after all traffic was back")
    return found

"""Whether what the conductor must ask of a plane answers at all; how well is for the gates."""

from cutover.conductor.preconditions.finding import Finding, fails, holds
from cutover.evidence.planes import Answer, read_canary


def judge_endpoints(plane: str, ready: Answer, health: Answer, canary: Answer) -> Finding:
    """Whether `/ready`, `/health` and `/canary/run` of a plane are the endpoints that they seem."""
    fine = ready.status in (200, 503) and health.status == 200
    fine = fine and read_canary(plane, canary).failed != ("no_verdict",)
    text = ", ".join(
        f"{path} {answer.status or answer.error}"
        for path, answer in (("/ready", ready), ("/health", health), ("/canary/run", canary))
    )
    return holds(f"{plane}: {text}") if fine else fails(f"{plane}: {text}")

"""What a TCB status means for traffic: dcap-qvl only reports it, so the gate is ours (§10, §16)."""

from dataclasses import dataclass

from cutover.attestation.verdict import Outcome, Reason, Step, failed, passed

_STEP = Step.TCB


@dataclass(frozen=True, slots=True)
class TcbPolicy:
    """Which shortcomings of a platform are acceptable.

    Attributes:
        hardening_advisories: advisories that a `SWHardeningNeeded` platform may have.
        rejected_advisories: never acceptable, whatever the status.
        out_of_date_grace: seconds from the first sighting for which an out-of-date platform is
            held rather than left; it never promotes.
    """

    hardening_advisories: frozenset[str]
    rejected_advisories: frozenset[str]
    out_of_date_grace: int


def judge_tcb(
    status: str, advisories: tuple[str, ...], policy: TcbPolicy, since: int | None, now: int
) -> tuple[list[Reason], int | None]:
    """Judge a platform's level; also until when a grace lasts, Unix seconds.

    Args:
        status: of the verified quote.
        advisories: of the verified quote; informational ones may stand beside `UpToDate`.
        policy: what is acceptable.
        since: when this platform was first seen out of date; None for never before.
        now: Unix seconds.
    """
    reasons = [
        failed(_STEP, "rejected_advisory", f"advisory {one}", "a platform without it")
        for one in sorted(policy.rejected_advisories.intersection(advisories))
    ]
    reason, until = _judge_status(status, advisories, policy, now if since is None else since, now)
    return [*reasons, reason], until


def _judge_status(
    status: str, advisories: tuple[str, ...], policy: TcbPolicy, since: int, now: int
) -> tuple[Reason, int | None]:
    listed = ", ".join(advisories) or "no advisory"
    match status:
        case "UpToDate":
            return passed(_STEP, "up_to_date", f"UpToDate, {listed}"), None
        case "SWHardeningNeeded":
            if advisories and policy.hardening_advisories.issuperset(advisories):
                said = f"SWHardeningNeeded for {listed}, all accepted by the policy"
                return Reason(_STEP, Outcome.WARNED, "hardening_accepted", said), None
            expected = "every advisory accepted by the policy"
            return _degraded("hardening", f"SWHardeningNeeded for {listed}", expected), None
        case "ConfigurationNeeded" | "ConfigurationAndSWHardeningNeeded":
            return _degraded("configuration", f"{status}, {listed}", "UpToDate"), None
        case "OutOfDate":
            until = since + policy.out_of_date_grace
            if now < until:
                expected = f"UpToDate; held until {until} and not longer"
                return _degraded("out_of_date", f"OutOfDate, {listed}", expected), until
            seen = f"OutOfDate since {since}, {listed}"
            return failed(_STEP, "grace_over", seen, f"UpToDate again before {until}"), None
        case "OutOfDateConfigurationNeeded":
            seen = f"{status}, {listed}"
            return failed(_STEP, "out_of_date_configuration", seen, "UpToDate; no grace"), None
        case _:
            return failed(_STEP, "unknown_status", f"status {status!r}", "a known status"), None


def _degraded(code: str, seen: str, expected: str) -> Reason:
    return Reason(_STEP, Outcome.DEGRADED, code, seen, expected)

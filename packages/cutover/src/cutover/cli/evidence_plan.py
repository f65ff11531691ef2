"""How a run will find out what its candidate is, for those who look before it starts."""

from collections.abc import Mapping

from cutover.attesting import Attesting
from cutover.settings import Settings


def evidence_plan(settings: Settings, attesting: Attesting | None) -> dict[str, object]:
    """What is believed, by which policy, whose collateral and whose root.

    Args:
        settings: the deployment's file.
        attesting: how the candidate is verified; None where its report is believed.
    """
    if attesting is None:
        return {"evidence": "reported", "unused": settings.attestation is not None}
    return {
        "evidence": "verified",
        "policy": str(attesting.path),
        "plane": attesting.policy.plane,
        "release": attesting.policy.release,
        "services": [service.url for service in attesting.services],
        "root": attesting.root_name(),
        "marks": list(attesting.marks()),
    }


def evidence_lines(plan: Mapping[str, object]) -> list[str]:
    """The same for people."""
    if plan["evidence"] == "reported":
        lines = ["attestation: the candidate's own report is believed, and marked WEAK"]
        if plan["unused"]:
            lines.append("attestation: [attestation] is not used by this runbook")
        return lines
    services, marks = (_listed(plan[name]) for name in ("services", "marks"))
    return [
        f"attestation: {plan['plane']} {plan['release']} is verified by {plan['policy']}",
        f"attestation: collateral of {services}; {plan['root']}",
        *([f"attestation: every verdict will be marked {marks}"] if marks else []),
    ]


def _listed(values: object) -> str:
    return ", ".join(values) if isinstance(values, list) else ""

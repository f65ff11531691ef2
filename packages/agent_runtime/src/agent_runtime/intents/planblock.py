"""How a plan is shown (contract §5): a heading, a JSON block, and what to answer. Pure."""

import json
from datetime import UTC, datetime
from typing import Any

DEPENDENCIES = {
    "pay": ["split_exists", "verified_recipients", "payment_policy", "wallet_or_rails_auth"],
    "create": ["repo_analysis", "near_connectivity", "worker_registration"],
}
RISKS = {"pay": "onchain_value_transfer", "create": "onchain_state_change"}
OUTPUTS = {
    "pay": ["tx_hash_or_intent_ref", "coverage_summary", "pending_claims"],
    "create": ["split_id", "allocation_preview", "verification_coverage"],
}
ADVICE = "Advice only: say `mode draft` for plans that can be approved, or `mode execute`"


def show(
    intent: str,
    plan_id: str,
    expires_at: float | None,
    params: dict[str, Any],
    warnings: tuple[str, ...] = (),
) -> str:
    """The text of a plan.

    Args:
        intent: `pay` or `create`.
        plan_id: the plan's, and of the payment that it makes.
        expires_at: epoch seconds; None for advice, which nobody can approve.
        params: what would be done.
        warnings: more risks, from policy.
    """
    block = {
        "id": plan_id,
        "intent": intent,
        "params": params,
        "dependencies": DEPENDENCIES[intent],
        "risks": [RISKS[intent], *warnings],
        "outputs": OUTPUTS[intent],
        "confidence": 1.0,  # a text is a command as a whole or not at all
        "expiresAt": _iso(expires_at) if expires_at is not None else None,
    }
    answer = ADVICE if expires_at is None else f"Reply `approve {plan_id}` or `cancel`"
    shown = json.dumps(block, indent=2, ensure_ascii=False)
    return f"📝 Plan for {intent}; nothing has been done yet\n```json\n{shown}\n```\n{answer}"


def _iso(seconds: float) -> str:
    found = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return found.replace("+00:00", "Z")

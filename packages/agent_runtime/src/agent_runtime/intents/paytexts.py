"""What a payment says of itself (contract §6). Pure."""

from agent_runtime import amounts
from agent_runtime.payments import Payment, PaymentState, claims_of
from agent_runtime.requests import Reply
from agent_runtime.settings_payout import NEAR


def refused(reason: str) -> str:
    """A payment that was never made; the contract's own wording where clients look for it."""
    if reason.startswith("No split found for"):
        return reason
    if reason.startswith("No payout-eligible"):
        return f"❌ {reason}"
    return f"❌ Payment failed: {reason}"


def reply(payment: Payment) -> Reply:
    """The answer for a stored payment in whatever state."""
    match payment.state:
        case PaymentState.PAID:
            return Reply(_paid(payment), "pay", payment.id)
        case PaymentState.DECLINED:
            text = f"🛑 Payment not made: {payment.detail}; payment id {payment.id}"
            return Reply(text, "pay", payment.id)
        case PaymentState.FAILED:
            text = f"❌ Payment failed: {payment.detail}; payment id {payment.id}"
            return Reply(text + _transaction(payment), "pay", payment.id)
        case PaymentState.REVIEW:
            moved = "has" if payment.tx_hash else "may have"
            text = (
                f"❌ Payment needs a person: {payment.detail}; payment id {payment.id};"
                f" money {moved} moved, do not retry"
            )
            return Reply(text + _transaction(payment), "pay", payment.id)
        case PaymentState.PLANNED | PaymentState.UNKNOWN:
            text = (
                f"❌ Payment outcome unknown: {payment.detail or 'no final answer yet'};"
                f" payment id {payment.id}; do not retry"
            )
            return Reply(text, "pay", payment.id, final=False)


def _paid(payment: Payment) -> str:
    plan, paid_by = payment.plan, payment.tx_hashes
    many = f"{len(paid_by)} NEAR transactions" if len(paid_by) > 1 else "one NEAR transaction"
    amount, paid = amounts.to_text(plan.total, plan.decimals), len(plan.paid)
    headline = f"✅ Distributed {amount} {plan.token} to {paid} payout-eligible verified"
    lines = [
        f"{headline} contributors via {payment.rail}!",
        f"Coverage: {paid}/{paid + len(plan.owed)} contributors eligible+verified",
        f"Payment mode: agent_rails_{payment.rail}",
        f"🌐 Protocol: NEP-141 transfers in {many}{_signed_by(payment)}",
        *(f"🔗 Transaction: {tx_hash}" for tx_hash in paid_by),
        f"📜 Split: {plan.split_id}",
        f"🧾 Payment: {payment.id}",
    ]
    if plan.flags:
        lines.append(f"⚠️ Safety flags: {', '.join(plan.flags)}")
    lines.extend(
        f"- {share.login}: {amounts.to_text(share.units, plan.decimals)} {plan.token}"
        f" -> {share.account}"
        for share in plan.paid
    )
    return "\n".join([*lines, *plan.notes, *_pending(payment)])


def _signed_by(payment: Payment) -> str:
    return "" if payment.rail == NEAR else f", ordered through {payment.rail}"


def _pending(payment: Payment) -> list[str]:
    claims = claims_of(payment)
    if not claims:
        return []
    lines = [f"⏳ Pending claims for unverified contributors ({len(claims)}):"]
    lines.extend(
        f"- {claim.login}: {amounts.to_text(claim.units, payment.plan.decimals)} {claim.token}"
        f" (claim id: {claim.id})"
        for claim in claims
    )
    return lines


def _transaction(payment: Payment) -> str:
    return f"; transaction {payment.tx_hash}" if payment.tx_hash else ""

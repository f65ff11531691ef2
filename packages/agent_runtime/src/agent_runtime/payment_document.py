"""A payment as `GET /payments/{id}` shows it: state, rail, legs, attempts, evidence. Pure.

Amounts are decimal strings, in the smallest unit where the name says `units`; times are ISO 8601 in
UTC. Signed bytes are not shown, and neither is who asked. A link to a transaction appears only
beside final evidence of it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agent_runtime import amounts
from agent_runtime.near.evidence import Evidence
from agent_runtime.near.ledger import Attempt
from agent_runtime.payments import Leg, Payment, PaymentState, Plan, Share, claims_of
from agent_runtime.payouts.orders import Order
from agent_runtime.payouts.standing import evidence_of, leg_state_of
from agent_runtime.settlement import Standing, settle


def payment_document(
    payment: Payment,
    legs: Sequence[Leg],
    attempts: Sequence[Attempt],
    evidence: Mapping[str, Evidence],
    network: str,
    order: Order | None = None,
) -> dict[str, Any]:
    """The whole document.

    Args:
        payment: as it is stored.
        legs: what is signed for it.
        attempts: its transactions and their fences, in any order.
        evidence: by hash, of those that ended on chain.
        network: `mainnet` or another name, for links.
        order: what was ordered for it, if its rail takes orders.
    """
    plan = payment.plan
    seen = None if order is None else evidence_of(order)
    if order is not None and seen is not None and order.tx_hash:
        evidence = {**evidence, order.tx_hash: seen}
    made = sorted((one for one in attempts if not one.fences), key=lambda one: one.nonce)
    standings = {one.number: one for one in settle(payment.id, legs, made, evidence).legs}
    told = [
        {**_leg(leg, standings[leg.number], attempts, evidence, network), "order": None}
        for leg in legs
    ]
    if order is not None and told:
        told[0] |= _ordered(order, seen, network)
    return {
        "id": payment.id,
        "rail": payment.rail,
        "state": payment.state.value,
        "settled": not payment.open,
        "needsPerson": payment.state is PaymentState.REVIEW,
        "detail": payment.detail,
        "repository": plan.repo,
        "split": plan.split_id,
        "token": {"symbol": plan.token, "decimals": plan.decimals},
        "asked": _amount(plan, plan.units),
        "total": _amount(plan, plan.total),
        "paid": [_share(plan, share) for share in plan.paid],
        "owed": [
            {"claim": claim.id, "login": claim.login, **_amount(plan, claim.units)}
            for claim in claims_of(payment)
        ],
        "flags": list(plan.flags),
        "transaction": next((one for one in payment.tx_hashes[-1:] if one in evidence), None),
        "transactions": [leg["transaction"] for leg in told if leg["transaction"]],
        "createdAt": _time(payment.created_at),
        "updatedAt": _time(payment.updated_at),
        "legs": told,
    }


def _ordered(order: Order, seen: Evidence | None, network: str) -> dict[str, Any]:
    """What an order makes of its payment's one leg: what the rail said, and what NEAR shows."""
    shown = None if seen is None else _evidence(seen, network)
    return {
        "state": leg_state_of(order).value,
        "transaction": order.tx_hash or None,
        "order": {
            "id": order.id,
            "remote": order.remote_id or None,
            "state": order.state.value,
            "detail": order.detail,
            "payer": order.payer,
            "digest": f"sha256:{order.digest}",
            "said": {"status": order.word or None, "transaction": order.told_hash or None},
            "sent": order.sends,
            "firstSentAt": _time(order.first_sent_at) if order.first_sent_at else None,
            "createdAt": _time(order.created_at),
            "transaction": order.tx_hash or None,
            "evidence": shown,
        },
    }


def _leg(
    leg: Leg,
    standing: Standing,
    attempts: Sequence[Attempt],
    evidence: Mapping[str, Evidence],
    network: str,
) -> dict[str, Any]:
    fences = {one.fences: one for one in attempts if one.fences}
    ours = [one for one in attempts if one.leg == leg.number and not one.fences]
    return {
        "number": leg.number,
        "state": standing.state.value,
        "transaction": standing.tx_hash if standing.tx_hash in evidence else None,
        "contract": leg.contract,
        "wrapped": leg.wrap,
        "transfers": [{"account": to, "units": str(units)} for to, units in leg.transfers],
        "attempts": [
            {
                **_attempt(one, evidence, network),
                "fence": (
                    _attempt(fences[one.tx_hash], evidence, network)
                    if one.tx_hash in fences
                    else None
                ),
            }
            for one in sorted(ours, key=lambda one: one.nonce)
        ],
    }


def _attempt(attempt: Attempt, evidence: Mapping[str, Evidence], network: str) -> dict[str, Any]:
    seen = evidence.get(attempt.tx_hash)
    return {
        "transaction": attempt.tx_hash,
        "nonce": attempt.nonce,
        "state": attempt.state.value,
        "detail": attempt.detail,
        "signedAt": {"block": attempt.block_hash, "height": attempt.block_height},
        "createdAt": _time(attempt.created_at),
        "evidence": None if seen is None else _evidence(seen, network),
    }


def _evidence(seen: Evidence, network: str) -> dict[str, Any]:
    report = seen.report
    return {
        "finality": "FINAL",
        "transaction": report.tx_hash,
        "explorer": explorer_link(report.tx_hash, network),
        "signer": report.signer,
        "publicKey": report.public_key,
        "nonce": report.nonce,
        "receiver": report.receiver,
        "block": {"hash": report.block_hash, "height": seen.block_height},
        "receipts": [
            {"id": one.id, "block": one.block_hash, "executor": one.executor, "ok": one.ok}
            for one in report.receipts
        ],
        "transfers": [
            {
                "contract": moved.contract,
                "from": moved.sender,
                "to": moved.receiver,
                "units": str(moved.units),
                "memo": moved.memo,
            }
            for moved in seen.moved
        ],
        "providers": list(seen.providers),
        "seenAt": _time(seen.seen_at),
        "digest": f"sha256:{report.digest}",
    }


def explorer_link(tx_hash: str, network: str) -> str:
    """Where a person can look a transaction up."""
    host = "nearblocks.io" if network == "mainnet" else f"{network}.nearblocks.io"
    return f"https://{host}/txns/{tx_hash}"


def _share(plan: Plan, share: Share) -> dict[str, str]:
    return {"login": share.login, "account": share.account, **_amount(plan, share.units)}


def _amount(plan: Plan, units: int) -> dict[str, str]:
    return {"units": str(units), "amount": amounts.to_text(units, plan.decimals)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")

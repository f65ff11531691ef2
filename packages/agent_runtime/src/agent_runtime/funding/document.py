"""A funding as programs and operators read it."""

from datetime import UTC, datetime
from typing import Any

from agent_runtime import amounts
from agent_runtime.funding.judge import credited
from agent_runtime.funding.model import Funding, FundingState
from agent_runtime.near.evidence import from_json


def document(funding: Funding, page: str) -> dict[str, Any]:
    """The whole of it; `arrival` is there only beside final evidence."""
    wish, state = funding.wish, funding.state
    return {
        "id": funding.id,
        "state": str(state),
        "settled": state in {FundingState.ARRIVED, FundingState.CLOSED},
        "needsPerson": state is FundingState.REVIEW,
        "detail": funding.detail,
        "token": {"symbol": wish.token, "contract": wish.contract, "decimals": wish.decimals},
        "asked": _amount(wish.units, wish.decimals),
        "account": wish.account,
        "page": page or None,
        "item": funding.item_id or None,
        "arrival": _arrival(funding),
        "createdAt": _time(funding.created_at),
        "updatedAt": _time(funding.updated_at),
        "lookedAt": _time(funding.looked_at) if funding.looked_at else None,
    }


def _arrival(funding: Funding) -> dict[str, Any] | None:
    if funding.state is not FundingState.ARRIVED or funding.evidence is None:
        return None
    found = from_json(dict(funding.evidence))
    return {
        "transaction": found.report.tx_hash,
        "signer": found.report.signer,
        "blockHash": found.report.block_hash,
        "blockHeight": found.block_height,
        "credited": _amount(credited(funding, found), funding.wish.decimals),
        "providers": list(found.providers),
        "digest": found.report.digest,
        "seenAt": _time(found.seen_at),
    }


def _amount(units: int, decimals: int) -> dict[str, str]:
    return {"units": str(units), "amount": amounts.to_text(units, decimals)}


def _time(seconds: float) -> str:
    shown = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return shown.replace("+00:00", "Z")

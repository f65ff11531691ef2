"""A funding as programs and operators read it."""

from datetime import UTC, datetime
from typing import Any

from agent_runtime import amounts
from agent_runtime.funding.judge import credited
from agent_runtime.funding.model import Funding, FundingState
from agent_runtime.near.evidence import from_json
from agent_runtime.rails.hot import page_of
from agent_runtime.settings import Settings


def document(funding: Funding, settings: Settings) -> dict[str, Any]:
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
        "page": _page(funding, settings),
        "item": funding.item_id or None,
        "arrival": _arrival(funding),
        "createdAt": _time(funding.created_at),
        "updatedAt": _time(funding.updated_at),
        "lookedAt": _time(funding.looked_at) if funding.looked_at else None,
    }


def _page(funding: Funding, settings: Settings) -> str | None:
    """Where a payer pays it, while there is something to pay."""
    if not funding.item_id or funding.state is FundingState.ARRIVED:
        return None
    amount = amounts.to_text(funding.wish.units, funding.wish.decimals)
    return page_of(settings, funding.item_id, amount, funding.id)


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

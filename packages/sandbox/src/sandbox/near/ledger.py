"""The chain's books as one JSON value: what an onlooker compares everybody's claims with."""

from typing import Any

from sandbox.near import state
from sandbox.near.chain import Chain
from sandbox.near.keys import show_public
from sandbox.near.record import Record
from sandbox.near.token import Token


def dump(chain: Chain, *, transactions_max: int = 1000) -> dict[str, Any]:
    """Return balances, splits, pending claims, keys and the newest transactions."""
    records = list(chain.records.values())[-transactions_max:] if transactions_max else []
    return {
        "head": chain.head.height,
        "final": chain.final.height,
        "near": {account: str(held) for account, held in state.near_balances(chain.store).items()},
        "tokens": {
            contract: _token(chain, contract, token)
            for contract, token in chain.contracts.items()
            if isinstance(token, Token)
        },
        "splits": [value for _, value in _kind(chain, "split")],
        "pending": [value for _, value in _kind(chain, "pending")],
        "keys": [
            {"account": key[1], "public_key": key[2], "nonce": value.nonce}
            for key, value in chain.store.under("key")
            if isinstance(value, state.AccessKey)
        ],
        "transaction_count": len(chain.records),
        "transactions": [_transaction(chain, record) for record in records],
    }


def _kind(chain: Chain, kind: str) -> list[tuple[tuple[str, ...], Any]]:
    found = chain.store.under("contract")
    return [(key, value) for key, value in found if len(key) > 3 and key[2] == kind]


def _token(chain: Chain, contract: str, token: Token) -> dict[str, Any]:
    held = chain.store.under("contract", contract, "balance")
    balances = {key[-1]: str(value) for key, value in held}
    return {"symbol": token.symbol, "decimals": token.decimals, "balances": balances}


def _transaction(chain: Chain, record: Record) -> dict[str, Any]:
    transaction = record.signed.transaction
    outcomes = [r.outcome for r in record.receipts if r.outcome is not None]
    return {
        "hash": record.signed.hash,
        "signer": transaction.signer_id,
        "public_key": show_public(transaction.public_key),
        "nonce": transaction.nonce,
        "receiver": transaction.receiver_id,
        "height": record.conversion.block.height,
        "level": record.level(chain.now),
        "failed": any(outcome.failed for outcome in outcomes),
        "logs": [line for outcome in outcomes for line in outcome.logs if not outcome.failed],
    }

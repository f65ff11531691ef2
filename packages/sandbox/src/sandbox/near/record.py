"""What the chain remembers of blocks, transactions and receipts, and how JSON-RPC shows it."""

import base64
from dataclasses import dataclass, field
from typing import Any

from sandbox.near import state
from sandbox.near.borsh import Action, SignedTransaction, show_action
from sandbox.near.keys import encode, show_public

LEVELS = ("NONE", "INCLUDED", "EXECUTED_OPTIMISTIC", "INCLUDED_FINAL", "EXECUTED", "FINAL")
"""How far a transaction has come, weakest first."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block; `digest` is its hash."""

    height: int
    digest: bytes
    previous: bytes
    timestamp_ns: int

    @property
    def hash(self) -> str:
        """The block hash in base58."""
        return encode(self.digest)


@dataclass(frozen=True, slots=True)
class Moment:
    """How much of the chain somebody sees: heights of the newest and of the newest final block."""

    head: int
    final: int


@dataclass(slots=True)
class Outcome:
    """What happened to a transaction's conversion or to one receipt."""

    id: str
    executor: str
    block: Block
    status: dict[str, Any]
    logs: list[str]
    receipt_ids: list[str]
    gas: int

    @property
    def failed(self) -> bool:
        """Whether nothing of it took effect."""
        return "Failure" in self.status

    def show(self) -> dict[str, Any]:
        """Return it as JSON-RPC shows it."""
        return {
            "id": self.id,
            "block_hash": self.block.hash,
            "proof": [],
            "outcome": {
                "status": self.status,
                "logs": self.logs,
                "receipt_ids": self.receipt_ids,
                "gas_burnt": self.gas,
                "tokens_burnt": str(self.gas * state.GAS_PRICE),
                "executor_id": self.executor,
                "metadata": {"version": 3, "gas_profile": []},
            },
        }


@dataclass(slots=True)
class Receipt:
    """Work waiting for a block; `predecessor` is `system` for a refund."""

    id: str
    predecessor: str
    receiver: str
    actions: tuple[Action, ...]
    outcome: Outcome | None = None


@dataclass(slots=True)
class Record:
    """One transaction on the chain and everything that followed from it."""

    signed: SignedTransaction
    conversion: Outcome
    receipts: list[Receipt] = field(default_factory=list)

    def done(self, now: Moment) -> bool:
        """Whether every receipt has run."""
        return len(self._outcomes(now)) == len(self.receipts)

    def level(self, now: Moment) -> str:
        """Return the strongest of `LEVELS` that holds."""
        included_final = self.conversion.block.height <= now.final
        if not self.done(now):
            return "INCLUDED_FINAL" if included_final else "INCLUDED"
        if all(outcome.block.height <= now.final for outcome in self._outcomes(now)):
            return "FINAL"
        return "EXECUTED" if included_final else "EXECUTED_OPTIMISTIC"

    def reached(self, level: str, now: Moment) -> bool:
        """Whether the transaction has come at least as far as `level`.

        A chain may finalise the inclusion before the receipts have run, so EXECUTED_OPTIMISTIC and
        INCLUDED_FINAL are not in a line; each is judged for itself.
        """
        match level:
            case "INCLUDED_FINAL":
                return self.conversion.block.height <= now.final
            case "EXECUTED_OPTIMISTIC":
                return self.done(now)
            case _:
                return LEVELS.index(self.level(now)) >= LEVELS.index(level)

    def status(self) -> dict[str, Any] | str:
        """Return the top-level status: that of the first receipt, as a node reports it."""
        first = self.receipts[0].outcome if self.receipts else None
        return "Started" if first is None else first.status

    def take_back(self, height: int) -> None:
        """Forget what happened above a height; the transaction itself was included below."""
        for at, receipt in enumerate(self.receipts):
            if receipt.outcome is not None and receipt.outcome.block.height > height:
                receipt.outcome = None
                del self.receipts[at + 1 :]  # what it led to has not happened either
                return

    def show(self, now: Moment, *, receipts: bool = False) -> dict[str, Any]:
        """Return the outcome as `tx` gives it; with `receipts` as EXPERIMENTAL_tx_status does."""
        done = self._outcomes(now)
        shown: dict[str, Any] = {
            "final_execution_status": self.level(now),
            "status": self.status() if done else "Started",
            "transaction": self._show_transaction(),
            "transaction_outcome": self.conversion.show(),
            "receipts_outcome": [outcome.show() for outcome in done],
        }
        if receipts:
            shown["receipts"] = [self._show_receipt(receipt) for receipt in self.receipts]
        return shown

    def _outcomes(self, now: Moment) -> list[Outcome]:
        found = [receipt.outcome for receipt in self.receipts]
        return [o for o in found if o is not None and o.block.height <= now.head]

    def _show_transaction(self) -> dict[str, Any]:
        transaction = self.signed.transaction
        return {
            "hash": self.signed.hash,
            "signer_id": transaction.signer_id,
            "public_key": show_public(transaction.public_key),
            "nonce": transaction.nonce,
            "receiver_id": transaction.receiver_id,
            "actions": [show_action(action) for action in transaction.actions],
            "signature": "ed25519:" + encode(self.signed.signature),
            "priority_fee": 0,
        }

    def _show_receipt(self, receipt: Receipt) -> dict[str, Any]:
        body = {
            "signer_id": self.signed.transaction.signer_id,
            "signer_public_key": show_public(self.signed.transaction.public_key),
            "gas_price": str(state.GAS_PRICE),
            "output_data_receivers": [],
            "input_data_ids": [],
            "actions": [show_action(action) for action in receipt.actions],
        }
        return {
            "predecessor_id": receipt.predecessor,
            "receiver_id": receipt.receiver,
            "receipt_id": receipt.id,
            "receipt": {"Action": body},
        }


def success(value: bytes) -> dict[str, Any]:
    """Return the status of a receipt that took effect."""
    return {"SuccessValue": base64.b64encode(value).decode()}

"""Run one receipt: all of its actions take effect, or none does and deposits go back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.near import state
from sandbox.near.borsh import (
    Action,
    AddKey,
    DeleteKey,
    FunctionCall,
    Transfer,
)
from sandbox.near.contract import Context, Contract, MethodNotFoundError, PanicError
from sandbox.near.keys import show_public
from sandbox.near.record import Block, Receipt, success
from sandbox.near.store import Store

SYSTEM = "system"


class ActionError(Exception):
    """An action failed; `kind` is what the chain shows."""

    def __init__(self, kind: Mapping[str, Any]) -> None:
        self.kind = kind
        super().__init__(str(kind))


@dataclass(slots=True)
class Effect:
    """What running a receipt gave: its status, its logs, and what must be refunded."""

    status: dict[str, Any]
    logs: list[str] = field(default_factory=list)
    refund: int = 0


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs receipts against the store and the deployed contracts."""

    store: Store
    contracts: Mapping[str, Contract]

    def run(self, receipt: Receipt, block: Block, *, poisoned: bool = False) -> Effect:
        """Run a receipt; `poisoned` makes it fail as a contract out of luck would."""
        self.store.begin()
        logs: list[str] = []
        value = b""
        for index, action in enumerate(receipt.actions):
            try:
                value = self._act(action, receipt, block, logs, poisoned=poisoned)
            except ActionError as error:
                self.store.rollback()
                failure = {"Failure": {"ActionError": {"index": index, "kind": error.kind}}}
                return Effect(failure, logs, _deposits(receipt))
        self.store.commit()
        return Effect(success(value), logs)

    def _act(
        self, action: Action, receipt: Receipt, block: Block, logs: list[str], *, poisoned: bool
    ) -> bytes:
        if poisoned:
            raise ActionError(_panicked("injected: this receipt was told to fail"))
        match action:
            case Transfer(deposit):
                self._credit(receipt.receiver, deposit)
                return b""
            case FunctionCall():
                return self._call(action, receipt, block, logs)
            case AddKey(public_key, permission):
                start = (block.height - 1) * state.NONCE_RANGE
                self._set_key(receipt, public_key, state.AccessKey(start, permission))
                return b""
            case DeleteKey(public_key):
                self._set_key(receipt, public_key, None)
                return b""

    def _credit(self, account: str, amount: int) -> None:
        held = state.balance(self.store, account)
        if held is None:
            raise ActionError({"AccountDoesNotExist": {"account_id": account}})
        state.set_balance(self.store, account, held + amount)

    def _set_key(self, receipt: Receipt, public_key: bytes, key: state.AccessKey | None) -> None:
        account = receipt.receiver
        if receipt.predecessor != account:
            who = {"account_id": account, "actor_id": receipt.predecessor}
            raise ActionError({"ActorNoPermission": who})
        there = state.access_key(self.store, account, public_key) is not None
        if there == (key is not None):
            kind = "AddKeyAlreadyExists" if there else "DeleteKeyDoesNotExist"
            which = {"account_id": account, "public_key": show_public(public_key)}
            raise ActionError({kind: which})
        state.set_access_key(self.store, account, public_key, key)

    def _call(self, action: FunctionCall, receipt: Receipt, block: Block, logs: list[str]) -> bytes:
        account = receipt.receiver
        contract = self.contracts.get(account)
        if contract is None:
            missing = {"CodeDoesNotExist": {"account_id": account}}
            raise ActionError({"FunctionCallError": {"CompilationError": missing}})
        if action.gas < state.GAS_PER_CALL_MIN:
            raise ActionError(
                {"FunctionCallError": {"ExecutionError": "Exceeded the prepaid gas."}}
            )
        self._credit(account, action.deposit)
        context = Context(
            store=self.store,
            account_id=account,
            predecessor_id=receipt.predecessor,
            deposit=action.deposit,
            height=block.height,
            timestamp_ns=block.timestamp_ns,
            logs=logs,
        )
        return call_json(contract, context, action.method_name, action.args)


def call_json(contract: Contract, context: Context, method: str, args: bytes) -> bytes:
    """Call a contract with JSON bytes and return JSON bytes; an empty answer for `None`.

    Raises:
        ActionError: the contract panicked or has no such method.
    """
    try:
        given = json.loads(args) if args else {}
    except ValueError as error:
        raise ActionError(_panicked(f"Failed to deserialize input from JSON.: {error}")) from error
    if not isinstance(given, dict):
        raise ActionError(_panicked("Failed to deserialize input from JSON.: not an object"))
    try:
        value = contract.call(context, method, given)
    except PanicError as error:
        raise ActionError(_panicked(str(error))) from error
    except MethodNotFoundError as error:
        resolve = {"MethodResolveError": "MethodNotFound"}
        raise ActionError({"FunctionCallError": resolve}) from error
    if value is None and not context.view:
        return b""
    return json.dumps(value, separators=(",", ":")).encode()


def _panicked(message: str) -> dict[str, Any]:
    return {"FunctionCallError": {"ExecutionError": f"Smart contract panicked: {message}"}}


def _deposits(receipt: Receipt) -> int:
    return sum(a.deposit for a in receipt.actions if isinstance(a, Transfer | FunctionCall))

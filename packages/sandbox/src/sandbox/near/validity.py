"""May this transaction enter the chain? nearcore's rules, with nearcore's names for a refusal."""

from collections.abc import Mapping
from typing import Any

from sandbox.near import state
from sandbox.near.borsh import FunctionCall, SignedTransaction, Transaction, Transfer
from sandbox.near.keys import show_public, verify
from sandbox.near.state import AccessKey
from sandbox.near.store import Store


class InvalidTxError(Exception):
    """The transaction is refused; `detail` is the `InvalidTxError` of the RPC's `data`."""

    def __init__(self, detail: Mapping[str, Any] | str) -> None:
        self.detail = detail
        super().__init__(str(detail))

    @property
    def is_nonce(self) -> bool:
        """Whether the nonce is used up: the one refusal that may hide an earlier success."""
        return not isinstance(self.detail, str) and "InvalidNonce" in self.detail


def total_deposit(transaction: Transaction) -> int:
    """Return what the actions attach, in yocto."""
    return sum(a.deposit for a in transaction.actions if isinstance(a, Transfer | FunctionCall))


def gas_burnt(transaction: Transaction) -> int:
    """Return the gas that this transaction will be charged for."""
    return state.GAS_PER_CONVERSION + state.GAS_PER_ACTION * len(transaction.actions)


def check(signed: SignedTransaction, store: Store, height: int, block_height: int | None) -> None:
    """Check a transaction against the head's state.

    Args:
        signed: the transaction.
        store: the state at the head.
        height: the head's height.
        block_height: the height of the block that the transaction names, None if off the chain.

    Raises:
        InvalidTxError: with the first rule broken.
    """
    transaction = signed.transaction
    _check_form(transaction)
    if not verify(transaction.public_key, signed.digest, signed.signature):
        raise InvalidTxError("InvalidSignature")
    if block_height is None or height - block_height > state.VALIDITY_BLOCKS:
        raise InvalidTxError("Expired")
    held = state.balance(store, transaction.signer_id)
    if held is None:
        raise InvalidTxError({"SignerDoesNotExist": {"signer_id": transaction.signer_id}})
    _check_key(transaction, store, height)
    cost = total_deposit(transaction) + gas_burnt(transaction) * state.GAS_PRICE
    if held < cost:
        detail = {"signer_id": transaction.signer_id, "balance": str(held), "cost": str(cost)}
        raise InvalidTxError({"NotEnoughBalance": detail})


def _check_form(transaction: Transaction) -> None:
    count = len(transaction.actions)
    if count > state.ACTIONS_MAX:
        detail = {"total_number_of_actions": count, "limit": state.ACTIONS_MAX}
        raise InvalidTxError({"ActionsValidation": {"TotalNumberOfActionsExceeded": detail}})
    calls = [action for action in transaction.actions if isinstance(action, FunctionCall)]
    if any(call.gas == 0 for call in calls):
        raise InvalidTxError({"ActionsValidation": "FunctionCallZeroAttachedGas"})
    gas = sum(call.gas for call in calls)
    if gas > state.GAS_PREPAID_MAX:
        excess = {"total_prepaid_gas": gas, "limit": state.GAS_PREPAID_MAX}
        raise InvalidTxError({"ActionsValidation": {"TotalPrepaidGasExceeded": excess}})


def _check_key(transaction: Transaction, store: Store, height: int) -> None:
    key = state.access_key(store, transaction.signer_id, transaction.public_key)
    if key is None:
        missing = {
            "account_id": transaction.signer_id,
            "public_key": show_public(transaction.public_key),
        }
        raise InvalidTxError({"InvalidAccessKeyError": {"AccessKeyNotFound": missing}})
    if transaction.nonce <= key.nonce:
        used = {"tx_nonce": transaction.nonce, "ak_nonce": key.nonce}
        raise InvalidTxError({"InvalidNonce": used})
    upper = (height + 1) * state.NONCE_RANGE
    if transaction.nonce >= upper:
        raise InvalidTxError(
            {"NonceTooLarge": {"tx_nonce": transaction.nonce, "upper_bound": upper}}
        )
    _check_permission(transaction, key)


def _check_permission(transaction: Transaction, key: AccessKey) -> None:
    permission = key.permission
    if permission is None:
        return
    actions = transaction.actions
    if len(actions) != 1 or not isinstance(actions[0], FunctionCall):
        raise InvalidTxError({"InvalidAccessKeyError": "RequiresFullAccess"})
    call = actions[0]
    if call.deposit:
        raise InvalidTxError({"InvalidAccessKeyError": "DepositWithFunctionCall"})
    if transaction.receiver_id != permission.receiver_id:
        other = {"tx_receiver": transaction.receiver_id, "ak_receiver": permission.receiver_id}
        raise InvalidTxError({"InvalidAccessKeyError": {"ReceiverMismatch": other}})
    if permission.method_names and call.method_name not in permission.method_names:
        name = {"method_name": call.method_name}
        raise InvalidTxError({"InvalidAccessKeyError": {"MethodNameMismatch": name}})

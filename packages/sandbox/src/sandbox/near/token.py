"""A fungible token (NEP-141 with NEP-145 storage and NEP-297 events); wraps NEAR if asked to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.near.contract import Context, MethodNotFoundError, PanicError, text, text_or

STORAGE_YOCTO: Final = 1_250_000_000_000_000_000_000  # 0.00125 NEAR


@dataclass(frozen=True, slots=True)
class Token:
    """One token contract."""

    name: str
    symbol: str
    decimals: int
    code_hash: str
    wraps_near: bool = False

    def call(self, context: Context, method: str, args: Mapping[str, Any]) -> Any:
        """Run a method of the standard."""
        match method:
            case "ft_transfer":
                return self._transfer(context, args)
            case "ft_balance_of":
                return str(context.get("balance", text(args, "account_id")) or 0)
            case "ft_total_supply":
                return str(sum(amount for _, amount in context.under("balance")))
            case "ft_metadata":
                return self._metadata()
            case "storage_balance_of":
                account = text(args, "account_id")
                return None if context.get("balance", account) is None else _storage()
            case "storage_balance_bounds":
                return {"min": str(STORAGE_YOCTO), "max": str(STORAGE_YOCTO)}
            case "storage_deposit":
                return _storage_deposit(context, args)
            case "near_deposit" if self.wraps_near:
                return _near_deposit(context)
            case "near_withdraw" if self.wraps_near:
                return _near_withdraw(context, args)
            case _:
                raise MethodNotFoundError(method)

    def _metadata(self) -> dict[str, Any]:
        return {
            "spec": "ft-1.0.0",
            "name": self.name,
            "symbol": self.symbol,
            "icon": None,
            "reference": None,
            "reference_hash": None,
            "decimals": self.decimals,
        }

    @staticmethod
    def _transfer(context: Context, args: Mapping[str, Any]) -> None:
        _one_yocto(context)
        sender, receiver = context.predecessor_id, text(args, "receiver_id")
        amount = _amount(args)
        if sender == receiver:
            raise PanicError("Sender and receiver should be different")
        if amount == 0:
            raise PanicError("The amount should be a positive number")
        held, there = _registered(context, sender), _registered(context, receiver)
        if held < amount:
            raise PanicError("The account doesn't have enough balance")
        context.set(held - amount, "balance", sender)
        context.set(there + amount, "balance", receiver)
        moved = {"old_owner_id": sender, "new_owner_id": receiver, "amount": str(amount)}
        memo = args.get("memo")
        _event(context, "ft_transfer", moved if memo is None else {**moved, "memo": memo})


def _storage() -> dict[str, str]:
    return {"total": str(STORAGE_YOCTO), "available": "0"}


def _amount(args: Mapping[str, Any]) -> int:
    shown = text(args, "amount")
    if not (shown.isascii() and shown.isdigit()) or int(shown) >= 1 << 128:
        raise PanicError("Failed to deserialize input from JSON.: amount is not a decimal u128")
    return int(shown)


def _one_yocto(context: Context) -> None:
    if context.deposit != 1:
        raise PanicError("Requires attached deposit of exactly 1 yoctoNEAR")


def _registered(context: Context, account: str) -> int:
    held = context.get("balance", account)
    if not isinstance(held, int):
        raise PanicError(f"The account {account} is not registered")
    return held


def _event(context: Context, name: str, data: Mapping[str, Any]) -> None:
    event = {"standard": "nep141", "version": "1.0.0", "event": name, "data": [data]}
    context.logs.append("EVENT_JSON:" + json.dumps(event, separators=(",", ":")))


def _storage_deposit(context: Context, args: Mapping[str, Any]) -> dict[str, str]:
    account = text_or(args, "account_id", context.predecessor_id)
    refund = context.deposit
    if context.get("balance", account) is None:
        if context.deposit < STORAGE_YOCTO:
            raise PanicError("The attached deposit is less than the minimum storage balance")
        context.set(0, "balance", account)
        refund -= STORAGE_YOCTO
    if refund:
        context.pay(context.predecessor_id, refund)
    return _storage()


def _near_deposit(context: Context) -> None:
    account, amount = context.predecessor_id, context.deposit
    if context.get("balance", account) is None:
        amount -= STORAGE_YOCTO
    if amount <= 0:
        raise PanicError("Requires positive attached deposit")
    context.set((context.get("balance", account) or 0) + amount, "balance", account)
    _event(context, "ft_mint", {"owner_id": account, "amount": str(amount)})


def _near_withdraw(context: Context, args: Mapping[str, Any]) -> None:
    _one_yocto(context)
    account, amount = context.predecessor_id, _amount(args)
    held = _registered(context, account)
    if held < amount:
        raise PanicError("The account doesn't have enough balance")
    context.set(held - amount, "balance", account)
    context.pay(account, amount + 1)
    _event(context, "ft_burn", {"owner_id": account, "amount": str(amount)})

"""What a contract sees and may do; contracts themselves are in `splits` and `token`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.near import state
from sandbox.near.store import Key, Store


class PanicError(Exception):
    """The contract panicked: nothing it did in this receipt stays."""


@dataclass(slots=True)
class Context:
    """One call: who calls, with what attached, at which block; and the contract's own state.

    A view may be asked `back` blocks before the newest one.
    """

    store: Store
    account_id: str
    predecessor_id: str
    deposit: int
    height: int
    timestamp_ns: int
    view: bool = False
    back: int = 0
    logs: list[str] = field(default_factory=list)

    def get(self, *key: str) -> Any:
        """Return a value of the contract's own state."""
        return self.store.get(self._own(key), back=self.back)

    def set(self, value: object, *key: str) -> None:
        """Set a value of the contract's own state; None deletes."""
        self._refuse_in_view()
        self.store.set(self._own(key), value)

    def under(self, *prefix: str) -> list[tuple[str, Any]]:
        """Return (last key part, value) of every entry under a prefix, in key order."""
        return [(k[-1], v) for k, v in self.store.under(*self._own(prefix), back=self.back)]

    def pay(self, account: str, amount: int) -> None:
        """Send NEAR of the contract to an account that exists."""
        self._refuse_in_view()
        held = state.balance(self.store, self.account_id) or 0
        there = state.balance(self.store, account)
        if there is None or held < amount:
            raise PanicError(f"cannot send {amount} yocto to {account}")
        state.set_balance(self.store, self.account_id, held - amount)
        state.set_balance(self.store, account, there + amount)

    def _own(self, key: tuple[str, ...]) -> Key:
        return ("contract", self.account_id, *key)

    def _refuse_in_view(self) -> None:
        if self.view:
            raise PanicError("a view call must not change the state")


class Contract(Protocol):
    """A deployed contract."""

    @property
    def code_hash(self) -> str:
        """What `view_account` shows for the account."""
        ...

    def call(self, context: Context, method: str, args: Mapping[str, Any]) -> Any:
        """Run a method and return what its JSON answer holds.

        Raises:
            PanicError: the contract refuses; its text is what the chain shows.
        """
        ...


class MethodNotFoundError(Exception):
    """The contract has no such method."""


def text(args: Mapping[str, Any], name: str) -> str:
    """Return a required string argument; panics as near-sdk does."""
    value = args.get(name)
    if not isinstance(value, str):
        raise PanicError(f"Failed to deserialize input from JSON.: missing field `{name}`")
    return value


def text_or(args: Mapping[str, Any], name: str, default: str) -> str:
    """Return an optional string argument."""
    return default if args.get(name) is None else text(args, name)

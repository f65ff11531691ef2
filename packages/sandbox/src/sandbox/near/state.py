"""What the chain's state means: accounts, access keys, contracts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.near.borsh import FunctionCallPermission
from sandbox.near.keys import show_public
from sandbox.near.store import Store

VALIDITY_BLOCKS: Final = 86_400
NONCE_RANGE: Final = 10**6
GAS_PRICE: Final = 10**8
GAS_PREPAID_MAX: Final = 300 * 10**12
ACTIONS_MAX: Final = 100
GAS_PER_CONVERSION: Final = 223 * 10**9
GAS_PER_ACTION: Final = 500 * 10**9
GAS_PER_CALL_MIN: Final = 2 * 10**12


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key's counter and what it may do (None: everything)."""

    nonce: int
    permission: FunctionCallPermission | None


def balance(store: Store, account: str, *, back: int = 0) -> int | None:
    """Return an account's NEAR in yocto `back` blocks ago, or None when there was no account."""
    value = store.get(("account", account), back=back)
    return value if isinstance(value, int) else None


def set_balance(store: Store, account: str, amount: int) -> None:
    """Set an account's NEAR; makes the account if need be."""
    store.set(("account", account), amount)


def access_key(store: Store, account: str, public_key: bytes, *, back: int = 0) -> AccessKey | None:
    """Return the account's access key with this public half `back` blocks ago, or None."""
    value = store.get(("key", account, show_public(public_key)), back=back)
    return value if isinstance(value, AccessKey) else None


def set_access_key(store: Store, account: str, public_key: bytes, key: AccessKey | None) -> None:
    """Set or (None) delete an access key."""
    store.set(("key", account, show_public(public_key)), key)


def near_balances(store: Store) -> Mapping[str, int]:
    """Return every account's NEAR."""
    return {k[1]: v for k, v in store.under("account") if isinstance(v, int)}

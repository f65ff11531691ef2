"""The chain as it begins: who has what, and which contracts stand where."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sandbox import people
from sandbox.near import state
from sandbox.near.chain import FIRST_HEIGHT, Chain
from sandbox.near.contract import Contract
from sandbox.near.keys import KeyPair, encode
from sandbox.near.splits import WHOLE, GitSplits
from sandbox.near.token import Token

NEAR: Final = 10**24
AGENT: Final = "gitsplits-agent.near"
SPLITS: Final = "gitsplits.near"
OWNER: Final = "gitsplits-owner.near"
USDC: Final = "17208628f84f5d6ad33f0da3bbbeb27ffcb398eac501a31bd6ad2011e36133a1"
WRAP: Final = "wrap.near"
TREASURY: Final = "pingpay.near"
SPONSOR: Final = "sponsor.near"
CODE_HASH: Final = "gitsplits-agent"
_FUNDS_USDC: Final = 10**6 * 10**6
_FUNDS_NEAR: Final = 10**5 * NEAR


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that exist at the beginning: each plane's on one account, Ping's, a sponsor's."""

    planes: dict[str, KeyPair]
    treasury: KeyPair
    sponsor: KeyPair


def begin(keys: Keys, *, finality_lag: int = 2) -> Chain:
    """Return a chain whose first state is final already."""
    contracts: dict[str, Contract] = {
        SPLITS: GitSplits(OWNER, _code("gitsplits")),
        USDC: Token("USD Coin", "USDC", 6, _code("usdc")),
        WRAP: Token("Wrapped NEAR fungible token", "wNEAR", 24, _code("wrap"), wraps_near=True),
    }
    chain = Chain(contracts, finality_lag=finality_lag)
    _accounts(chain, [SPLITS, OWNER, USDC], 10 * NEAR)
    _accounts(chain, [AGENT, TREASURY, SPONSOR], _FUNDS_NEAR)
    state.set_balance(chain.store, WRAP, 3 * _FUNDS_NEAR + NEAR)
    for key in keys.planes.values():
        _add_key(chain, AGENT, key)
    _add_key(chain, TREASURY, keys.treasury)
    _add_key(chain, SPONSOR, keys.sponsor)
    for holder in (AGENT, TREASURY, SPONSOR):
        chain.store.set(("contract", USDC, "balance", holder), _FUNDS_USDC)
        chain.store.set(("contract", WRAP, "balance", holder), _FUNDS_NEAR)
    chain.store.set(("contract", SPLITS, "code_hashes"), (CODE_HASH,))
    for login in people.verified_logins():
        _verify(chain, login)
    for number, full_name in enumerate(people.WITH_SPLIT):
        _split(chain, full_name, number)
    chain.store.set(("contract", SPLITS, "split_count"), len(people.WITH_SPLIT))
    chain.store.settle()
    return chain


def _code(name: str) -> str:
    return encode(name.encode().ljust(32, b"."))


def _accounts(chain: Chain, accounts: Iterable[str], amount: int) -> None:
    for account in accounts:
        state.set_balance(chain.store, account, amount)


def _add_key(chain: Chain, account: str, key: KeyPair) -> None:
    nonce = (FIRST_HEIGHT - 1000) * state.NONCE_RANGE
    state.set_access_key(chain.store, account, key.public_raw, state.AccessKey(nonce, None))


def _verify(chain: Chain, login: str) -> None:
    wallet = people.wallet_of(login)
    state.set_balance(chain.store, wallet, NEAR)
    chain.store.set(("contract", SPLITS, "wallet", login), wallet)
    chain.store.set(("contract", SPLITS, "x", login), f"{login}_x")
    chain.store.set(("contract", SPLITS, "github_of", wallet), login)
    if login not in people.UNREGISTERED:
        for token in (USDC, WRAP):
            chain.store.set(("contract", token, "balance", wallet), 0)


def _split(chain: Chain, full_name: str, number: int) -> None:
    """Put a repository's split on the chain, shares by commits, largest remainders first."""
    repository = people.find(full_name)
    humans = [row for row in repository.contributors if row.kind == "User"] if repository else []
    total = sum(row.contributions for row in humans)
    shares = [divmod(row.contributions * WHOLE, total) for row in humans]
    left = WHOLE - sum(whole for whole, _ in shares)
    first = sorted(range(len(shares)), key=lambda at: -shares[at][1])[:left]
    rows = [
        {
            "github_username": row.login.lower(),
            "account_id": None,
            "percentage": whole + (at in first),
        }
        for at, (row, (whole, _)) in enumerate(zip(humans, shares, strict=True))
    ]
    split_id, repo_url = f"split-{FIRST_HEIGHT - 500}-{number}", f"github.com/{full_name}"
    split = {
        "id": split_id,
        "repo_url": repo_url,
        "owner": AGENT,
        "contributors": rows,
        "created_at": chain.head.timestamp_ns,
        "updated_at": chain.head.timestamp_ns,
    }
    chain.store.set(("contract", SPLITS, "split", split_id), split)
    chain.store.set(("contract", SPLITS, "split_of", repo_url), split_id)

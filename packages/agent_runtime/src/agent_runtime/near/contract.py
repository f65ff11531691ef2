"""The split contract (rails §2.6): its views, and the calls that change it.

Numbers of the contract are JSON integers up to 10^23; they are read and written exactly.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime import wire
from agent_runtime.errors import RailUnknown
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.transaction import TERAGAS, Call

CALL_GAS = 100 * TERAGAS
NAMES_PER_VIEW = 50


@dataclass(frozen=True)
class Row:
    """One contributor of a split; `units` of 10^23 are the whole."""

    login: str
    units: int


@dataclass(frozen=True)
class Split:
    """A split as the chain holds it; without rows it is half made."""

    id: str
    rows: tuple[Row, ...]


class SplitContract:
    """Reads the contract at final."""

    def __init__(self, rpc: Rpc, contract: str) -> None:
        self._rpc = rpc
        self.account = contract

    async def split_of(self, repo_url: str) -> Split | None:
        """The split of a repository, or None.

        Raises:
            RailUnknown: the answer has another shape.
        """
        found = await self._rpc.view(self.account, "get_split_by_repo", {"repo_url": repo_url})
        return None if found is None else parse_split(found)

    async def split(self, split_id: str) -> tuple[str, Split] | None:
        """The repository and the rows of a split by its id, or None.

        Raises:
            RailUnknown: the answer has another shape.
        """
        found = await self._rpc.view(self.account, "get_split", {"split_id": split_id})
        if found is None:
            return None
        split = parse_split(found)
        return str(found.get("repo_url", "")), split

    async def github_of(self, wallet: str) -> str:
        """The login that a wallet is linked to; empty for none."""
        found = await self._rpc.view(
            self.account, "get_github_by_wallet", {"wallet_address": wallet}
        )
        if not isinstance(found, str | None):
            raise RailUnknown("near", "get_github_by_wallet gave no name")
        return found or ""

    async def noted_claims(self, login: str) -> int:
        """How many unclaimed amounts the contract itself has noted for a login."""
        view = "get_pending_distributions"
        found = await self._rpc.view(self.account, view, {"github_username": login})
        if not isinstance(found, list):
            raise RailUnknown("near", f"{view} gave no list")
        return len(found)

    async def is_worker(self, account: str) -> bool:
        """Whether an account may create and change splits."""
        found = await self._rpc.view(self.account, "is_worker_registered", {"account_id": account})
        if not isinstance(found, bool):
            raise RailUnknown("near", "is_worker_registered gave no boolean")
        return found

    async def wallets_of(self, logins: Sequence[str]) -> dict[str, str]:
        """The verified wallets, keyed by lower-case login; absent for the unverified."""
        names = [login.lower() for login in logins]
        parts = [names[at : at + NAMES_PER_VIEW] for at in range(0, len(names), NAMES_PER_VIEW)]
        view = "get_verified_wallets_by_usernames"
        answers = await asyncio.gather(
            *(self._rpc.view(self.account, view, {"github_usernames": part}) for part in parts)
        )
        return {
            login: wallet for found in answers for login, wallet in _parse_wallets(found).items()
        }


def parse_split(found: Any) -> Split:
    """Read a split.

    Raises:
        RailUnknown: another shape, or a percentage that is no positive integer.
    """
    try:
        rows = tuple(
            Row(str(row["github_username"]), int(str(row["percentage"])))
            for row in found["contributors"]
        )
        split = Split(str(found["id"]), rows)
    except (KeyError, TypeError, ValueError) as error:
        raise RailUnknown("near", "get_split_by_repo gave a split of another shape") from error
    if any(row.units <= 0 for row in rows):
        raise RailUnknown("near", f"split {split.id} holds a share that is not positive")
    return split


def _parse_wallets(found: Any) -> dict[str, str]:
    try:
        return {
            str(entry["github_username"]).lower(): str(entry["wallet_address"]) for entry in found
        }
    except (KeyError, TypeError) as error:
        raise RailUnknown("near", "the verified wallets have another shape") from error


def create_split(repo_url: str, owner: str) -> Call:
    """Make an empty split; its id is the call's result."""
    return _call("create_split", {"repo_url": repo_url, "owner": owner})


def update_split(split_id: str, rows: Sequence[Row]) -> Call:
    """Replace a split's rows."""
    contributors = [
        {"github_username": row.login, "account_id": None, "percentage": row.units} for row in rows
    ]
    return _call("update_split", {"split_id": split_id, "contributors": contributors})


def register_worker(code_hash: str, quote: str, endorsements: str) -> Call:
    """Register the signer as a worker."""
    attestation = {"quote": quote, "endorsements": endorsements}
    return _call("register_worker", {"_attestation": attestation, "code_hash": code_hash})


def store_verification(login: str, wallet: str) -> Call:
    """Link a login to a wallet; the contract asks for an X name too, and we know none."""
    args = {"github_username": login.lower(), "x_username": "", "wallet_address": wallet}
    return _call("store_verification", args)


def split_id_of(returned: str) -> str:
    """The id that `create_split` returned.

    Raises:
        RailUnknown: it returned something else.
    """
    try:
        found = json.loads(returned)
    except ValueError:
        found = None
    if not isinstance(found, str) or not found.startswith("split-"):
        raise RailUnknown("near", "create_split returned no split id")
    return found


def _call(method: str, args: dict[str, Any]) -> Call:
    return Call(method, wire.encode(args), CALL_GAS)

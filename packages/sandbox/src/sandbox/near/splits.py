"""The GitSplits contract (rails §2.6): workers, splits, verified wallets, pending claims.

Its rules are kept with its weaknesses: the attestation is not looked at, and `store_verification`
marks a person's pending claims as claimed although nobody is paid. A client must live with them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sandbox.near.contract import Context, MethodNotFoundError, PanicError, text

WHOLE: Final = 10**23
ROWS_MAX: Final = 200
PAGE_MAX: Final = 200
Args = Mapping[str, Any]


def normalize(username: str) -> str:
    """Return a GitHub name as the contract keys it."""
    return username.strip().lstrip("@").lower()


@dataclass(frozen=True, slots=True)
class GitSplits:
    """The contract; `owner` may add code hashes."""

    owner: str
    code_hash: str

    def call(self, context: Context, method: str, args: Args) -> Any:
        """Run a method: calls that change state, then views."""
        match method:
            case "register_worker":
                return self._register_worker(context, args)
            case "add_allowed_code_hash":
                return self._add_code_hash(context, args)
            case "create_split":
                return _create_split(context, args)
            case "update_split":
                return _update_split(context, args)
            case "store_verification" | "update_verification":
                return _store_verification(context, args, method)
            case "revoke_verification":
                return _revoke_verification(context, args)
            case "store_pending_distribution":
                return _store_pending(context, args)
            case _:
                return _view(context, method, args)

    def _add_code_hash(self, context: Context, args: Args) -> bool:
        if context.predecessor_id != self.owner:
            raise PanicError("Only the owner can call this method")
        code_hash = text(args, "code_hash")
        known: tuple[str, ...] = context.get("code_hashes") or ()
        if code_hash in known:
            return False
        context.set((*known, code_hash), "code_hashes")
        return True

    def _register_worker(self, context: Context, args: Args) -> bool:
        attestation = args.get("_attestation")
        if not isinstance(attestation, dict):
            raise PanicError("Failed to deserialize input from JSON.: missing field `_attestation`")
        text(attestation, "quote"), text(attestation, "endorsements")
        code_hash = text(args, "code_hash")
        known: tuple[str, ...] = context.get("code_hashes") or ()
        if not known:
            if context.predecessor_id != self.owner:
                raise PanicError("Only owner can bootstrap worker code hash")
            known = (code_hash,)
            context.set(known, "code_hashes")
        if code_hash not in known:
            raise PanicError("Worker code hash is not allowed")
        context.set(code_hash, "worker", context.predecessor_id)
        return True


def _worker_only(context: Context) -> None:
    if context.get("worker", context.predecessor_id) is None:
        raise PanicError("Only registered workers can call this method")


def _create_split(context: Context, args: Args) -> str:
    _worker_only(context)
    repo_url, owner = text(args, "repo_url"), text(args, "owner")
    if context.get("split_of", repo_url) is not None:
        raise PanicError("Split already exists for this repository")
    number: int = context.get("split_count") or 0
    split_id = f"split-{context.height}-{number}"
    context.set(number + 1, "split_count")
    split = {
        "id": split_id,
        "repo_url": repo_url,
        "owner": owner,
        "contributors": [],
        "created_at": context.timestamp_ns,
        "updated_at": context.timestamp_ns,
    }
    context.set(split, "split", split_id)
    context.set(split_id, "split_of", repo_url)
    return split_id


def _update_split(context: Context, args: Args) -> bool:
    _worker_only(context)
    split_id = text(args, "split_id")
    rows = _rows(args.get("contributors"))
    split = context.get("split", split_id)
    if split is None:
        return False
    if sum(row["percentage"] for row in rows) != WHOLE:
        raise PanicError("Percentages must add up to 100%")
    changed = {**split, "contributors": rows, "updated_at": context.timestamp_ns}
    context.set(changed, "split", split_id)
    return True


def _rows(given: object) -> list[dict[str, Any]]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise PanicError("Failed to deserialize input from JSON.: missing field `contributors`")
    if not given:
        raise PanicError("Contributors cannot be empty")
    if len(given) > ROWS_MAX:
        raise PanicError("Too many contributors")
    rows = [_row(item) for item in given]
    if len({row["github_username"] for row in rows}) != len(rows):
        raise PanicError("Duplicate contributor username")
    return rows


def _row(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise PanicError("Failed to deserialize input from JSON.: a contributor is an object")
    username, percentage = normalize(text(item, "github_username")), item.get("percentage")
    if not username:
        raise PanicError("Contributor username cannot be empty")
    if type(percentage) is not int or not 0 <= percentage < 1 << 128:
        raise PanicError("Failed to deserialize input from JSON.: percentage is not a u128 number")
    if percentage == 0:
        raise PanicError("Contributor percentage must be > 0")
    account = item.get("account_id")
    if account is not None and not isinstance(account, str):
        raise PanicError("Failed to deserialize input from JSON.: account_id is not a string")
    return {"github_username": username, "account_id": account, "percentage": percentage}


def _store_verification(context: Context, args: Args, method: str) -> bool:
    _worker_only(context)
    username, wallet = normalize(text(args, "github_username")), text(args, "wallet_address")
    if not username:
        raise PanicError("GitHub username cannot be empty")
    before = context.get("wallet", username)
    if before is not None:
        context.set(None, "github_of", before)
    other = context.get("github_of", wallet)
    if other is not None and other != username:
        context.set(None, "wallet", other)
        context.set(None, "x", other)
    if method == "store_verification":
        context.set(text(args, "x_username"), "x", username)
    context.set(wallet, "wallet", username)
    context.set(username, "github_of", wallet)
    _event(context, method.replace("_verification", ""), username, wallet)
    for claim_id, claim in context.under("pending", username):
        context.set({**claim, "claimed": True}, "pending", username, claim_id)
    return True


def _revoke_verification(context: Context, args: Args) -> bool:
    _worker_only(context)
    username = normalize(text(args, "github_username"))
    wallet = context.get("wallet", username)
    if wallet is None:
        return False
    _event(context, "revoke", username, wallet)
    for key in (("wallet", username), ("x", username), ("github_of", wallet)):
        context.set(None, *key)
    return True


def _event(context: Context, verb: str, username: str, wallet: str) -> None:
    past = {"store": "stored", "update": "updated", "revoke": "revoked"}[verb]
    event = {
        "standard": "gitsplits",
        "version": "1.0.0",
        "event": f"verification_{past}",
        "data": _entry(context, username, wallet),
    }
    context.logs.append("EVENT_JSON:" + json.dumps(event, separators=(",", ":")))


def _store_pending(context: Context, args: Args) -> str:
    _worker_only(context)
    username, token = normalize(text(args, "github_username")), text(args, "token")
    amount = args.get("amount")
    if type(amount) is not int or not 0 <= amount < 1 << 128:
        raise PanicError("Failed to deserialize input from JSON.: amount is not a u128 number")
    claim_id = f"pending-{username}-{context.timestamp_ns}"
    claim = {
        "id": claim_id,
        "github_username": username,
        "amount": amount,
        "token": token,
        "timestamp": context.timestamp_ns,
        "claimed": False,
    }
    context.set(claim, "pending", username, claim_id)
    return claim_id


def _view(context: Context, method: str, args: Args) -> Any:
    view = _VIEWS.get(method)
    if view is None:
        raise MethodNotFoundError(method)
    return view(context, args)


def _pending(context: Context, args: Args) -> list[Any]:
    claims = context.under("pending", normalize(text(args, "github_username")))
    return [claim for _, claim in claims if not claim["claimed"]]


def _of_username(kind: str, context: Context, args: Args) -> Any:
    return context.get(kind, normalize(text(args, "github_username")))


def _split_by_repo(context: Context, repo_url: str) -> Any:
    split_id = context.get("split_of", repo_url)
    return None if split_id is None else context.get("split", split_id)


def _entry(context: Context, username: str, wallet: str) -> dict[str, Any]:
    x_username = context.get("x", username)
    return {"github_username": username, "wallet_address": wallet, "x_username": x_username}


def _cursor(context: Context, args: Args) -> dict[str, Any]:
    limit, start = args.get("limit"), args.get("start_after")
    size = min(limit if isinstance(limit, int) else 50, PAGE_MAX)
    wallets = context.under("wallet")
    rest = [w for w in wallets if start is None or w[0] > normalize(str(start))]
    page = [_entry(context, username, wallet) for username, wallet in rest[:size]]
    following = page[-1]["github_username"] if page and len(page) == size else None
    return {"entries": page, "next_cursor": following, "total": len(rest)}


def _by_usernames(context: Context, usernames: object) -> list[dict[str, Any]]:
    """Look names up as they are written: unlike the other views, this one does not normalise."""
    if not isinstance(usernames, list):
        raise PanicError("Failed to deserialize input from JSON.: missing field `github_usernames`")
    found = ((str(name), context.get("wallet", str(name))) for name in usernames)
    return [_entry(context, name, wallet) for name, wallet in found if wallet is not None]


def _repo_status(context: Context, repo_url: str) -> dict[str, Any]:
    split = _split_by_repo(context, repo_url)
    names = [] if split is None else [row["github_username"] for row in split["contributors"]]
    wallets = {name: context.get("wallet", name) for name in names}
    return {
        "split_id": None if split is None else split["id"],
        "repo_url": repo_url,
        "total_contributors": len(names),
        "verified": [_entry(context, n, w) for n, w in wallets.items() if w is not None],
        "unverified": [name for name, wallet in wallets.items() if wallet is None],
    }


_VIEWS: Final[Mapping[str, Callable[[Context, Args], Any]]] = {
    "get_split": lambda c, a: c.get("split", text(a, "split_id")),
    "get_split_by_repo": lambda c, a: _split_by_repo(c, text(a, "repo_url")),
    "is_worker_registered": lambda c, a: c.get("worker", text(a, "account_id")) is not None,
    "is_github_verified": lambda c, a: _of_username("wallet", c, a) is not None,
    "get_wallet_address": lambda c, a: _of_username("wallet", c, a),
    "get_x_username": lambda c, a: _of_username("x", c, a),
    "get_github_by_wallet": lambda c, a: c.get("github_of", text(a, "wallet_address")),
    "get_pending_distributions": _pending,
    "get_verified_wallets_cursor": _cursor,
    "get_verified_wallets_by_usernames": lambda c, a: _by_usernames(c, a.get("github_usernames")),
    "get_repo_verification_status": lambda c, a: _repo_status(c, text(a, "repo_url")),
}

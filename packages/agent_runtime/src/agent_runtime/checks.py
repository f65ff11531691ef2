"""What counts as a healthy answer of another system (contract §10). Pure.

Each judge gets a decoded answer and says what is wrong with it; an empty text means healthy.
An answer that looks like a mock is never healthy, whoever gives it.
"""

from typing import Any

MOCK_SIGNATURE = "0xmocksignature"
MOCK_TEXT = "this is a mock"
GRANT_TOKENS_RESERVE = 1_000
ZERO_ADDRESS = "0x" + "0" * 40


def mock_marker(found: Any) -> str:
    """The first structural mock marker anywhere in an answer; empty for none."""
    match found:
        case dict():
            if found.get("mock") is True:
                return '"mock": true'
            return next((mark for value in found.values() if (mark := mock_marker(value))), "")
        case list():
            return next((mark for value in found if (mark := mock_marker(value))), "")
        case str():
            low = found.lower()
            marks = (MOCK_SIGNATURE, MOCK_TEXT, ZERO_ADDRESS)
            return next((mark for mark in marks if mark in low), "")
        case _:
            return ""


def refused(found: Any) -> str:
    """Why a JSON answer is a refusal although its status is good; empty if it is none."""
    if not isinstance(found, dict):
        return "the answer is no JSON object"
    if found.get("success") is False or found.get("ok") is False:
        return "the answer says that it did not succeed"
    if found.get("error"):
        return f"the answer holds an error: {str(found['error'])[:80]}"
    marker = mock_marker(found)
    return f"mock marker: {marker}" if marker else ""


def github(found: Any, repo: str) -> str:
    """Judge a repository's record."""
    fault = refused(found)
    if fault:
        return fault
    name = str(found.get("full_name", ""))
    return "" if name.lower() == repo.lower() else f"asked for {repo}, got {name or 'nothing'}"


def not_the_app(repo: str, who: str) -> str:
    """What is wrong when somebody else than the configured App was answered (contract §11.26)."""
    return (
        f"the {who} was answered, not the App: it is not installed on {repo};"
        " install it there, or name another TEST_ANALYZE_REPO"
    )


def near_status(found: Any, network: str) -> str:
    """Judge a provider's `status`."""
    fault = refused(found)
    if fault:
        return fault
    sync = found.get("sync_info")
    if not isinstance(sync, dict) or sync.get("syncing") is not False:
        return "the provider does not say that it is in sync"
    chain = found.get("chain_id")
    return "" if chain == network else f"the provider is on chain {chain!r}, expected {network!r}"


def hotpay(found: Any) -> str:
    """Judge a list of processed payments."""
    fault = refused(found)
    if fault:
        return fault
    return "" if isinstance(found.get("payments"), list) else "the answer holds no payments list"


def farcaster(found: Any, fid: str) -> str:
    """Judge the bot's signer: approved, and the bot's own."""
    fault = refused(found)
    if fault:
        return fault
    if found.get("status") != "approved":
        return f"the signer is {found.get('status')!r}, expected 'approved'"
    seen = found.get("fid")
    return "" if str(seen) == fid else f"the signer speaks for {seen!r}, FARCASTER_BOT_FID is {fid}"


def eigenai(found: Any) -> str:
    """Judge a grant: it must exist and hold more than a reserve."""
    fault = refused(found)
    if fault:
        return fault
    if found.get("success") is not True or found.get("hasGrant") is not True:
        return "the wallet has no grant"
    left = found.get("tokenCount")
    nested = found.get("grant")
    if left is None and isinstance(nested, dict):
        left = nested.get("remainingTokens")
    if not isinstance(left, int) or left <= GRANT_TOKENS_RESERVE:
        return f"{left!r} tokens are left, expected more than {GRANT_TOKENS_RESERVE}"
    return ""

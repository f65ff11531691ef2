"""Whether each plane signs with a NEAR key of its own for the same account (rails §2.4)."""

from collections.abc import Sequence

from cutover.conductor.preconditions.answers import Identity
from cutover.conductor.preconditions.finding import Finding, fails, holds


def judge_signers(first: Identity, second: Identity, sender: str) -> list[Finding]:
    """Every finding about two signers.

    Args:
        first: who one plane says that it is.
        second: who the other says that it is.
        sender: the account that the configuration expects to pay; empty for any.
    """
    found = [
        fails(f"{one.plane} has no NEAR key and cannot pay")
        for one in (first, second)
        if one.near is None
    ]
    if first.near is None or second.near is None:
        return found
    found += _same("networks", first.near.network, second.near.network)
    found += _same("accounts", first.near.account, second.near.account)
    found += _same("contracts", first.near.contract, second.near.contract)
    if first.near.public_key == second.near.public_key:
        text = "both planes sign with one NEAR key: their nonces collide; give each its own"
        return [*found, fails(text)]
    found.append(holds("each plane signs with a NEAR key of its own"))
    if sender and sender not in (first.near.account, second.near.account):
        text = f"the planes sign for {first.near.account}, expected {sender}"
        found.append(fails(f"{text} (conductor.near_sender)"))
    return found


def keys_of(identities: Sequence[Identity]) -> list[tuple[str, str]]:
    """Account and public key of each signer, to be looked up on the chain."""
    return [(one.near.account, one.near.public_key) for one in identities if one.near is not None]


def _same(what: str, one: str, other: str) -> list[Finding]:
    if one == other:
        return []
    return [fails(f"the planes sign for different {what}: {one!r} and {other!r}")]

"""Whether every way in has exactly one owner, so that nothing feeds a plane past the gateway.

Each plane is told who alone feeds it (`INGRESS_OWNER`): one name for every way in, or one for each,
as `http=gateway,webhook=gateway,poller=hetzner,cron=none`.
"""

from typing import Final

from cutover.conductor.preconditions.answers import Identity
from cutover.conductor.preconditions.finding import Finding, fails, holds

WAYS: Final = ("http", "webhook", "poller", "cron")
GATEWAY: Final = "gateway"
NOBODY: Final = "none"
ROUTED: Final = ("http", "webhook")
"""Ways that the gateway must have: it can split only what goes through it."""


def judge_ingress(first: Identity, second: Identity) -> list[Finding]:
    """Every finding about who feeds two planes."""
    owners, found = [], []
    for one in (first, second):
        told = owners_of(one.ingress_owner)
        if isinstance(told, str):
            found.append(fails(f"{one.plane}: INGRESS_OWNER {told}"))
        else:
            owners.append(told)
    if len(owners) < 2:
        return found
    planes = (first.plane, second.plane)
    return [_owned(way, owners[0][way], owners[1][way], planes) for way in WAYS]


def owners_of(text: str) -> dict[str, str] | str:
    """The owner of each way in; or what is wrong with the text."""
    if not text.strip():
        return f"is not set, expected the owner of {', '.join(WAYS)}"
    if "=" not in text:
        return dict.fromkeys(WAYS, text.strip())
    parts = [part.strip().partition("=") for part in text.split(",")]
    owners = {way.strip(): owner.strip() for way, _, owner in parts}
    if len(owners) != len(parts) or set(owners) != set(WAYS) or not all(owners.values()):
        return f"names not each of {', '.join(WAYS)} once"
    return owners


def _owned(way: str, first: str, second: str, planes: tuple[str, str]) -> Finding:
    if first != second:
        text = f"{way} has two owners: {first!r} by {planes[0]}, {second!r} by {planes[1]}"
        return fails(text)
    if way in ROUTED and first != GATEWAY:
        return fails(f"{way} belongs to {first!r}, expected {GATEWAY!r}: the split passes by there")
    if first not in (GATEWAY, NOBODY, *planes):
        return fails(f"{way} belongs to {first!r}, expected {GATEWAY}, {NOBODY} or a plane")
    return holds(f"{way} belongs to {first} alone")

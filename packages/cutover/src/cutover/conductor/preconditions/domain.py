"""Whether an address is fit for what it is told: its name leads somewhere, under TLS of its own.

Both planes are looked at, and the entrance: the address where users arrive, in front of the
gateway's nodes. A cutover moves what is behind that name, so that name must outlive it, too.
"""

import asyncio
from urllib.parse import urlsplit

from cutover.conductor.preconditions.finding import Finding, believed
from cutover.conductor.preconditions.tls import (
    Wanted,
    judge_certificate,
    judge_plain,
    presented,
    resolved,
)

ENTRANCE = "gateway"
"""What the entrance is called in findings."""


async def judge_address(
    who: str, url: str, from_ms: int, until_ms: int, spki: str = "", *, rehearsal: bool
) -> list[Finding]:
    """Look at one address.

    Args:
        who: whose it is.
        url: the address, `http` or `https`.
        from_ms: wall clock now, milliseconds.
        until_ms: until when its certificate is needed, milliseconds.
        spki: SHA-256 (hex) of the attested key; empty where the system's authorities vouch.
        rehearsal: plain HTTP on loopback is good enough.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return [judge_plain(who, host, rehearsal=rehearsal)]
    wanted = Wanted(who, host, parts.port or 443, from_ms, until_ms, spki, rehearsal)
    found, leads = await asyncio.gather(presented(wanted), resolved(who, host))
    if isinstance(found, Finding):
        return [leads, found]
    return [leads, *judge_certificate(found, wanted)]


async def judge_entrance(
    url: str, from_ms: int, until_ms: int, *, rehearsal: bool
) -> list[Finding]:
    """Look at where users arrive; empty when nobody told, which is no pass.

    What answers there may still be down: the gateway's nodes begin after the conductor, and only
    the TLS end in front of them must stand before a run does.
    """
    if not url:
        text = f"{ENTRANCE}: gateway.url is not set, so nobody can tell where users arrive"
        return [believed(text, rehearsal=rehearsal)]
    return await judge_address(ENTRANCE, url, from_ms, until_ms, rehearsal=rehearsal)

"""Which TLS key a plane must present, and what follows from that for connecting to it.

The routing table says it (`RoutingTable.candidate_spki`), for the candidate only. Where it names a
key, whoever presents another one gets not a byte of a request (`cutover.pinned`), and an address
without TLS is not connected to at all: it proves nothing.
"""

import ssl
from dataclasses import dataclass
from typing import Final

from cutover.gateway.config import Address
from cutover.pinned import PinnedContext

NO_KEY: Final = "no TLS key of it is attested"
MISMATCH: Final = "it did not present the attested TLS key"


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """How connections to a plane are made; compared by identity: each adoption's is its own.

    Attributes:
        spki: the key it must present, as in the table.
        context: TLS by that key or, without one, by the system's trust store; None for plain http.
        barred: why there is no connecting at all; empty when there is.
    """

    spki: str | None
    context: ssl.SSLContext | None
    barred: str = ""


def trust_of(spki: str | None, address: Address, url: str) -> Trust:
    """What a table's word about a plane's key means for its address.

    Args:
        spki: None for no requirement, empty while no key has proved itself, else SHA-256 in hex.
        address: of the plane.
        url: the same, for people.
    """
    if spki is None:
        return Trust(None, address.context())
    if not spki:
        return Trust(spki, None, NO_KEY)
    if not address.tls:
        return Trust(spki, None, f"no TLS at {url}, the table names a key")
    return Trust(spki, PinnedContext(spki))

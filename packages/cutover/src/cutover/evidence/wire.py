"""What a gateway node and the conductor say to each other, as it stands on the wire (JSON).

    GET  /v1/table?node=N&term=T&generation=G&wait_ms=W   newer table, or 204 when none came in time
    POST /v1/report                                       a NodeReport; answered 204

Both carry `Authorization: Bearer <gateway token>`. Key proofs let the conductor see that a node
holds the very keys it was told to use, without a key or a plain hash of one leaving the node.
"""

import hashlib
import hmac

import msgspec

from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import Conversations, Count

REPORT_BYTES_MAX = 1 << 20
TABLE_WAIT_MS_MAX = 25_000


class NodeReport(msgspec.Struct, frozen=True):
    """A node's report as sent; see `GatewayReport` for the fields it shares.

    Attributes:
        key_proofs: plane name to hex HMAC-SHA256(plane key, proof message of this boot).
    """

    node: str
    boot: str
    term: int
    generation: int
    refused_generation: int
    refused: str
    in_flight: int
    lost: int
    counts: tuple[Count, ...]
    conversations: tuple[Conversations, ...]
    key_proofs: dict[str, str]


def key_proof(key: str, boot: str) -> str:
    """A proof of holding a plane's key, good for one boot of one node."""
    return hmac.new(key.encode(), f"cutover-key-proof|{boot}".encode(), hashlib.sha256).hexdigest()


def parse_report(body: bytes, keys: dict[str, str]) -> GatewayReport:
    """Turn a node's report into an observation, comparing its key proofs with our keys.

    Args:
        body: JSON of a NodeReport, at most REPORT_BYTES_MAX bytes.
        keys: plane name to the key that the conductor knows.

    Raises:
        msgspec.ValidationError: the body is not a report.
    """
    if len(body) > REPORT_BYTES_MAX:
        raise msgspec.ValidationError(f"report of {len(body)} bytes, at most {REPORT_BYTES_MAX}")
    said = msgspec.json.decode(body, type=NodeReport)
    match = bool(keys) and all(
        hmac.compare_digest(
            said.key_proofs.get(plane, "").encode(), key_proof(key, said.boot).encode()
        )
        for plane, key in keys.items()
    )
    return GatewayReport(
        node=said.node, boot=said.boot, term=said.term, generation=said.generation,
        refused_generation=said.refused_generation, refused=said.refused,
        in_flight=said.in_flight, lost=said.lost, counts=said.counts,
        conversations=said.conversations, keys_match=match,
    )  # fmt: skip

"""What a gateway node and the conductor say to each other, as it stands on the wire (JSON).

    GET  /v1/table?node=N&run=R&term=T&generation=G&wait_ms=W   another table, or 204 when none came
    POST /v1/report                                       a NodeReport; answered with a Grant

Both carry `Authorization: Bearer <gateway token>`. Key proofs let the conductor see that a node
holds the very keys it was told to use, without a key or a plain hash of one leaving the node.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterator
from typing import Final, Self

import msgspec

from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import Conversations, Count

REPORT_BYTES_MAX = 1 << 20
TABLE_WAIT_MS_MAX = 25_000
NODE_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
COUNT_MAX: Final = 1 << 53
"""What every JSON reader can hold exactly; no node ever counts so far."""
NUMBER_MAX: Final = 10**9
"""Of a term or a generation."""
REFUSED_CHARS_MAX: Final = 500
GRANT_MS_MAX: Final = 86_400_000
"""A day: no verdict is good for longer without anybody looking."""
GRANT_BYTES_MAX: Final = 4 * 1024

_NODE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BOOT: Final = re.compile(r"[0-9a-f]{1,32}")


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
    money_in_flight: int = 0


class Grant(msgspec.Struct, frozen=True):
    """What a report is answered with: how long the node may send payments to the candidate.

    The newest answer replaces the one before it, be it shorter or longer. A node counts from the
    moment at which it sent the report, and heeds nobody but the conductor of its table's run, of
    no older term than the table.

    Attributes:
        run: identity of the conductor's run.
        term: the conductor's incarnation.
        money_ms: milliseconds, 0 to GRANT_MS_MAX; 0 pauses payments at once.
    """

    run: str
    term: int
    money_ms: int

    def checked(self) -> Self:
        """Return itself if a conductor can have said it.

        Raises:
            msgspec.ValidationError: a number is out of its bounds.
        """
        if not 0 <= self.money_ms <= GRANT_MS_MAX:
            raise msgspec.ValidationError(f"money_ms {self.money_ms}, expected 0 to {GRANT_MS_MAX}")
        if not 1 <= self.term <= NUMBER_MAX:
            raise msgspec.ValidationError(f"term {self.term}, expected 1 to {NUMBER_MAX}")
        return self


def key_proof(key: str, boot: str) -> str:
    """A proof of holding a plane's key, good for one boot of one node."""
    return hmac.new(key.encode(), f"cutover-key-proof|{boot}".encode(), hashlib.sha256).hexdigest()


def parse_report(body: bytes, keys: dict[str, str]) -> GatewayReport:
    """Turn a node's report into an observation, comparing its key proofs with our keys.

    Args:
        body: JSON of a NodeReport, at most REPORT_BYTES_MAX bytes.
        keys: plane name to the key that the conductor knows.

    Raises:
        msgspec.ValidationError: the body is not a report, or says what no node can: nothing of it
            may reach the journal then.
    """
    if len(body) > REPORT_BYTES_MAX:
        raise msgspec.ValidationError(f"report of {len(body)} bytes, at most {REPORT_BYTES_MAX}")
    said = msgspec.json.decode(body, type=NodeReport)
    if wrong := next(_faults(said, keys), ""):
        raise msgspec.ValidationError(wrong[:300])
    match = bool(keys) and all(
        hmac.compare_digest(
            said.key_proofs.get(plane, "").encode(), key_proof(key, said.boot).encode()
        )
        for plane, key in keys.items()
    )
    return GatewayReport(
        node=said.node, boot=said.boot, term=said.term, generation=said.generation,
        refused_generation=said.refused_generation, refused=said.refused[:REFUSED_CHARS_MAX],
        in_flight=said.in_flight, lost=said.lost, counts=said.counts,
        conversations=said.conversations, keys_match=match,
        money_in_flight=said.money_in_flight,
    )  # fmt: skip


def _faults(said: NodeReport, planes: Collection[str]) -> Iterator[str]:
    """What no node of ours says; values are cut, so that a refusal is no larger than its cause."""
    if not _NODE.fullmatch(said.node):
        yield f"node {said.node[:80]!r}, expected 1 to 64 letters, digits, '.', '_' or '-'"
    if not _BOOT.fullmatch(said.boot):
        yield f"boot {said.boot[:80]!r}, expected 1 to 32 hex digits"
    if not said.refused.isascii() and _unwritable(said.refused):
        yield "refused: half a surrogate pair, expected a text"
    numbers = (said.term, said.generation, said.refused_generation)
    if not all(0 <= number <= NUMBER_MAX for number in numbers):
        yield f"term, generation, refused_generation {numbers}, each at most {NUMBER_MAX}"
    tallies = (said.in_flight, said.money_in_flight, said.lost)
    if not all(0 <= tally <= COUNT_MAX for tally in tallies):
        yield f"in_flight, money_in_flight, lost {tallies}, each expected 0 to 2^53"
    cells: tuple[Count | Conversations, ...] = (*said.counts, *said.conversations)
    for cell in cells:
        if cell.plane not in planes:
            yield f"plane {cell.plane[:80]!r}, expected one of {', '.join(sorted(planes))}"
        if not (0 <= cell.generation <= NUMBER_MAX and 0 <= cell.n <= COUNT_MAX):
            yield f"n {cell.n} of generation {cell.generation}, expected 0 to 2^53 and {NUMBER_MAX}"


def _unwritable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False

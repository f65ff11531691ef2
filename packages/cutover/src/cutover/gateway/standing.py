"""A routing table made ready for looking up: nothing is left to compute for a request.

`Standing.choose` says the same as `cutover.routing.pick.pick`; a property test holds it to that.
Look-ups go by an intent's plain value: hashing an enumeration's member runs Python code, and that
would be the dearest step of the choice.
"""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from zlib import crc32

from cutover.gateway.page import INTENTS, cell_of, pair_of
from cutover.routing.table import RoutingTable
from cutover.runbook.intent import RISK_OF, Intent, Risk
from cutover.runbook.stage import ALL_BP

NO_BUCKET: Final = -1
"""The bucket of a conversation that has no key."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Way(Generic[P]):
    """One possible end of a choice.

    Attributes:
        plane: that answers.
        barred: whether something may stand against it: a refusal, or the end of a lease.
        refusal: what a client is told if the plane may not answer this intent, else None.
        leased: whether it needs the conductor's word, which holds only for a time.
        money: whether the intent may move money.
        exposed: whether it may, and the plane is the candidate.
        pair: place of (plane, intent) among the conversation bitmaps.
        cell: place of its first outcome among the counters.
        signature: header lines that tell a client who answered; the request id is to follow.
    """

    plane: P
    barred: bool
    refusal: str | None
    leased: bool
    money: bool
    exposed: bool
    pair: int
    cell: int
    signature: bytes


class Standing(Generic[P]):
    """What is in force in a worker.

    Args:
        version: of the shared page.
        table: that was read there.
        planes: whatever stands for a plane, by name.
    """

    __slots__ = ("_planes", "_salt", "_ways", "active", "table", "version")

    def __init__(self, version: int, table: RoutingTable, planes: dict[str, P]) -> None:
        self.version = version
        self.table = table
        self.active = planes[table.active]
        self._planes = planes
        self._salt = crc32(table.salt.encode())
        self._ways = {
            intent.value: (
                table.routes[intent].candidate_bp,
                self._way(intent, table.candidate),
                self._way(intent, table.fallback),
            )
            for intent in INTENTS
        }

    def choose(self, intent: Intent, key: str) -> tuple[Way[P], int]:
        """Where the intent goes in the conversation `key`, and the conversation's bucket."""
        share, candidate, fallback = self._ways[intent._value_]
        if not key:
            return (candidate if share >= ALL_BP else fallback), NO_BUCKET
        bucket = crc32(key.encode(), self._salt) % ALL_BP
        return (candidate if bucket < share else fallback), bucket

    def _way(self, intent: Intent, name: str) -> Way[P]:
        route = self.table.routes[intent]
        plane, index = sorted(self._planes).index(name), INTENTS.index(intent)
        money = RISK_OF[intent] is Risk.MONEY
        exposed = money and name == self.table.candidate
        refusal = route.refusal if name in route.refuse_on else None
        leased = exposed and self.table.leased
        said = f"x-cutover-plane: {name}\r\nx-cutover-generation: {self.table.generation}\r\n"
        return Way(
            plane=self._planes[name],
            barred=leased or refusal is not None,
            refusal=refusal,
            leased=leased,
            money=money,
            exposed=exposed,
            pair=pair_of(plane, index),
            cell=cell_of(plane, index, 0),
            signature=f"{said}x-request-id: ".encode(),
        )

"""A routing table made ready for looking up: one tuple an intent, nothing left to compute.

`Standing.choose` says the same as `cutover.routing.pick.pick`; a property test holds it to that.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar
from zlib import crc32

from cutover.routing.table import RoutingTable
from cutover.runbook.intent import Intent
from cutover.runbook.stage import ALL_BP

NO_BUCKET = -1
"""The bucket of a conversation that has no key."""

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Way(Generic[P]):
    """One possible end of a choice: the plane, and why it refuses the intent, if it does."""

    plane: P
    refusal: str | None


class Standing(Generic[P]):
    """What is in force in a worker.

    Args:
        version: of the shared page.
        table: that was read there.
        planes: whatever stands for a plane, by name.
    """

    __slots__ = ("_salt", "_ways", "active", "generation", "table", "version")

    def __init__(self, version: int, table: RoutingTable, planes: dict[str, P]) -> None:
        self.version = version
        self.table = table
        self.generation = table.generation
        self.active = planes[table.active]
        self._salt = crc32(table.salt.encode())
        self._ways: dict[Intent, tuple[int, Way[P], Way[P]]] = {}
        for intent, route in table.routes.items():
            candidate, fallback = (
                Way(planes[name], route.refusal if name in route.refuse_on else None)
                for name in (table.candidate, table.fallback)
            )
            self._ways[intent] = (route.candidate_bp, candidate, fallback)

    def choose(self, intent: Intent, key: str) -> tuple[Way[P], int]:
        """Where the intent goes in the conversation `key`, and the conversation's bucket."""
        share, candidate, fallback = self._ways[intent]
        if not key:
            return (candidate if share >= ALL_BP else fallback), NO_BUCKET
        bucket = crc32(key.encode(), self._salt) % ALL_BP
        return (candidate if bucket < share else fallback), bucket

"""Which plane answers: same inputs, same plane, in every engine.

The bucket is `crc32(salt ‖ conversation key) mod 10000`, a function that Python's zlib, HAProxy
and nginx share, so that a mixed fleet agrees about every conversation.
"""

from zlib import crc32

from cutover.routing.table import RoutingTable
from cutover.runbook.intent import Intent
from cutover.runbook.stage import ALL_BP


def bucket_of(salt: str, key: str) -> int:
    """The fixed place of a conversation, 0..9999."""
    return crc32(key.encode(), crc32(salt.encode())) % ALL_BP


def pick(table: RoutingTable, intent: Intent, key: str) -> str:
    """The plane that answers `intent` in the conversation `key`.

    An empty key stays on the fallback: who cannot be recognised again must not be moved.
    """
    share = table.routes[intent].candidate_bp
    if share >= ALL_BP:
        return table.candidate
    if not key or bucket_of(table.salt, key) >= share:
        return table.fallback
    return table.candidate

"""Lines 1 and 2 at the candidate's door: what a person in the middle is told.

Whoever has a key to compare tells him nothing. While none is proved, `/ready` and `/health` are
asked of anybody, since they carry no secret; everything else goes to a proved key or nowhere.
"""

from collections.abc import Sequence
from typing import Final

from cutover.simulator.checkers.violation import never

OPEN: Final = (b"GET /ready ", b"GET /health ")
"""What may be asked of whoever answers."""


def check_overheard(data: bytes, secrets: Sequence[bytes]) -> None:
    """Judge one piece that reached him.

    Args:
        data: the piece.
        secrets: that nobody may hear.

    Raises:
        Violation: it is part of a request that only the candidate may have.
    """
    what = data.split(b"\r\n", 1)[0][:60]
    never(1, not data.startswith(OPEN), f"a person in the middle heard {what!r}")
    told = any(secret in data for secret in secrets)
    never(1, told, f"a person in the middle heard a secret with {what!r}")

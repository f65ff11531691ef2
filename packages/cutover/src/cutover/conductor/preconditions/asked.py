"""What preconditions ask of the outside, and a deadline for each question."""

from typing import Final, Protocol

from cutover.conductor.preconditions.finding import Finding
from cutover.evidence.planes import Answer

DEADLINE_MS: Final = 5_000


class AskedPlane(Protocol):
    """What is asked of a plane; every call ends within its deadline, none raises."""

    name: str
    url: str

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`."""
        ...

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`."""
        ...

    async def knock(self, key: str | None, deadline_ms: int) -> Answer:
        """`POST /process` with this key or none, asking for help; nothing is carried out by it."""
        ...

    async def identity(self, nonce: str, deadline_ms: int) -> Answer:
        """`GET /identity`, with the plane's key."""
        ...

    async def parity(self, nonce: str, deadline_ms: int) -> Answer:
        """`POST /parity`, with the plane's key; the nonce is a secret of the caller."""
        ...


class AccessKeys(Protocol):
    """The chain's word about keys that sign."""

    async def may_pay(self, account: str, public_key: str) -> Finding:
        """Whether a key is on the account and may sign payments."""
        ...

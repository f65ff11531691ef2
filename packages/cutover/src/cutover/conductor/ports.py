"""What the conductor needs of the world: a few methods each, declared where they are called.

`cutover.app` passes the real ones; a simulator passes its own.
"""

from collections.abc import Sequence
from typing import Protocol

from cutover.decision.fact import Entry, Fact
from cutover.evidence.observation import Attestation, PostCheckSeen, PreconditionSeen
from cutover.evidence.planes import Answer
from cutover.runbook.gate import Check, PostCheckName


class PlaneClient(Protocol):
    """One plane over its HTTP contract; every call ends within its deadline, none raises."""

    name: str

    async def get(self, path: str, deadline_ms: int) -> Answer:
        """Ask `/ready` or `/health`."""
        ...

    async def canary(self, deadline_ms: int) -> Answer:
        """`POST /canary/run`."""
        ...

    async def process(self, text: str, deadline_ms: int, *, idempotency_key: str = "") -> Answer:
        """Execute a text on the plane itself, past the gateway."""
        ...


class Attester(Protocol):
    """Who finds out what the candidate is."""

    async def look(self, deadline_ms: int, purpose: str = "monitor") -> Attestation:
        """One verdict within the deadline; what cannot be told is a verdict, too.

        Args:
            deadline_ms: for the whole look, milliseconds.
            purpose: what it is for, bound to its nonce: `monitor`, or which promotion.
        """
        ...


class Memory(Protocol):
    """The journal as the engine uses it."""

    def append(self, facts: Sequence[Fact], at_ms: int, wall_ms: int) -> list[Entry]:
        """Make facts durable, all or none, before returning."""
        ...

    def save_snapshot(self, upto: int, data: bytes) -> str:
        """Store a state beside the journal and return its digest."""
        ...


class Reference(Protocol):
    """Our own connectivity."""

    async def reachable(self, deadline_ms: int) -> tuple[bool, str]:
        """Whether the reference answered, and what happened."""
        ...


class Chain(Protocol):
    """The ledger on which payments are settled."""

    async def transaction(self, reference: str, not_before_ms: int) -> tuple[bool | None, str]:
        """Whether a transaction is final, good and no older; None when it cannot be told."""
        ...


class Inspector(Protocol):
    """Carries out preconditions and post-cutover checks."""

    async def precondition(self, check: Check) -> PreconditionSeen:
        """Look at one precondition of both planes."""
        ...

    async def post_check(self, name: PostCheckName) -> PostCheckSeen:
        """Carry out one post-cutover check."""
        ...

"""Idempotency keys of what the conductor itself executes: another only after a certain end.

Until it is known how an execution ended (a crash, a deadline, an answer that cannot be understood)
its key stays, so that a plane that keeps keys answers again instead of paying again.
"""

import hashlib

from cutover.decision.run import Run
from cutover.runbook.intent import Intent


def live_key(run: Run, intent: Intent, identity: str) -> str:
    """The key of a live intent on the plane that has this identity (empty when none is known)."""
    who = hashlib.sha256(identity.encode()).hexdigest()[:12] if identity else "unknown"
    return f"live-{run.id}-{run.generation}-{intent}-{run.live_tries.get(intent, 0)}-{who}"


def receipt_key(run: Run) -> str:
    """The key of the payment that the receipt check makes."""
    return f"receipt-{run.id}-{run.generation}-{run.receipt_tries}"

"""Idempotency keys of what the conductor itself executes: another only after a certain end.

Until it is known how an execution ended (a crash, a deadline, an answer that cannot be understood)
its key stays, so that a plane that keeps keys answers again instead of paying again. Therefore the
keys go by the generation that opened the stage: a restart closes money and opens it again, and each
is a new table while the end of a payment may still be unknown.
"""

import hashlib

from cutover.decision.run import Run
from cutover.runbook.intent import Intent


def live_key(run: Run, intent: Intent, identity: str) -> str:
    """The key of a live intent on the plane that has this identity (empty when none is known)."""
    who = hashlib.sha256(identity.encode()).hexdigest()[:12] if identity else "unknown"
    return f"live-{run.id}-{run.stage_generation}-{intent}-{run.live_tries.get(intent, 0)}-{who}"


def receipt_key(run: Run) -> str:
    """The key of the payment that the receipt check makes."""
    return f"receipt-{run.id}-{run.stage_generation}-{run.receipt_tries}"
